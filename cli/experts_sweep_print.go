package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	width "github.com/jedib0t/go-pretty/v6/text"

	"troupe/lab/sweep"
)

// write puts the report into the folder, in every form. The measurements are there already.
func (s *sweeping) write(r sweep.Report) error {
	figures, err := r.Figures()
	if err != nil {
		return err
	}
	indented := func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	type file struct {
		name  string
		write func(io.Writer) error
	}
	files := []file{{"sweep.json", indented}, {"sweep.csv", r.WriteCSV}}
	for _, f := range figures {
		files = append(files, file{f.Name + ".png", f.WritePNG}, file{f.Name + ".svg", f.WriteSVG})
	}
	for _, f := range files {
		if err := writeFile(filepath.Join(s.dir, f.name), f.write); err != nil {
			return fmt.Errorf("%w: the measurements are kept: the same command writes tables and figures again", err)
		}
	}
	return nil
}

// writeFile writes a file as a whole or not at all.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := createFile(name)
	if err != nil {
		return err
	}
	if err := f.finish(write(f)); err != nil {
		return fmt.Errorf("%s: %w", name, bare(err))
	}
	return nil
}

// print shows the tables.
func (s *sweeping) print(r sweep.Report, took time.Duration) error {
	header := []string{"Experts", "Used", "Perplexity", "±", "Δ %", "KL", "Top-1", "Tokens/s", "×", "MB"}
	var rows [][]string
	for _, row := range r.Policies {
		rows = append(rows, sweepRow(&r, row))
	}
	text := s.tableOf(header, rows, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	text += s.domainTables(&r)
	_, err := io.WriteString(s.out, text)
	s.notice("%s of %s, arithmetic %s, in %s; * the model's own number of experts", plural(r.Tokens, "token"), plural(r.Documents, "document"), r.Arith, seconds(took))
	s.notice("Used: experts of a token in a layer; ±: half of the 95 %% interval; Δ, KL, Top-1: against *, KL in nats, Top-1 in %%; Tokens/s: new ones, %d at a time; MB: active weights of a token", max(r.Streams, 1))
	s.notice("%s has sweep.json, sweep.csv and figures as PNG and SVG", s.dir)
	return err
}

// star marks the model's own number of experts.
func star(row sweep.Row) string {
	if row.IsDefault {
		return row.Policy + " *"
	}
	return row.Policy
}

func sweepRow(r *sweep.Report, row sweep.Row) []string {
	f := row.Total
	half, kl, same, speed, times := "–", "–", "–", "–", "–"
	if f.Interval != nil {
		half = level((f.Interval.High - f.Interval.Low) / 2)
	}
	if r.Compared {
		kl, same = fmt.Sprintf("%.4f", f.KL), fmt.Sprintf("%.2f", 100*f.Agreement)
	}
	if row.Decode != nil && row.Decode.Median > 0 {
		speed, times = rate(row.Decode.Median), fmt.Sprintf("%.2f", row.Speedup)
	}
	return []string{star(row), fmt.Sprintf("%.2f", f.ExpertsPerLayer), level(f.Perplexity), half, percentChange(f.Change), kl, same, speed, times,
		megabytes(row.ActiveBytes)}
}

// level is a perplexity with the digits that matter.
func level(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.4f", v)
	case v < 100:
		return fmt.Sprintf("%.3f", v)
	case v < 10_000:
		return fmt.Sprintf("%.4g", v)
	default:
		return fmt.Sprintf("%.2e", v)
	}
}

// percentChange is a difference in per cent.
func percentChange(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%+.0f", v)
	}
	return fmt.Sprintf("%+.2f", v)
}

// megabytes is a size with three digits.
func megabytes(n int64) string {
	switch v := float64(n) / 1e6; {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return thousands(int64(v + 0.5))
	}
}

// domainTables have the perplexity of each domain: where one would be wider than the terminal, several.
func (s *sweeping) domainTables(r *sweep.Report) string {
	var b strings.Builder
	for from := 0; from < len(r.Domains); {
		text, to := "", from
		for to < len(r.Domains) {
			wider := s.domainTable(r, r.Domains[from:to+1])
			if to > from && widthOf(wider) > s.columns() {
				break
			}
			text, to = wider, to+1
		}
		b.WriteString("\n" + text)
		from = to
	}
	return b.String()
}

// widthOf is the columns of the widest line.
func widthOf(table string) (columns int) {
	for line := range strings.Lines(table) {
		columns = max(columns, width.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")))
	}
	return columns
}

// domainTable has the perplexity of some domains.
func (s *sweeping) domainTable(r *sweep.Report, domains []string) string {
	header, right := []string{"Perplexity"}, []int{}
	for i, name := range domains {
		header, right = append(header, label(name)), append(right, i+1)
	}
	var rows [][]string
	for _, row := range r.Policies {
		cells := []string{star(row)}
		for _, name := range domains {
			cells = append(cells, level(row.Domains[name].Perplexity))
		}
		rows = append(rows, cells)
	}
	return s.tableOf(header, rows, right...)
}
