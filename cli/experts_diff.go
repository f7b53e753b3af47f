package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab/look"
	"troupe/lab/trace"
)

func (p *program) diffCommand() *cli.Command {
	const category = "Output"
	return &cli.Command{
		Name: "diff", Usage: "how the routing of two runs differs", ArgsUsage: "A B",
		Description: `Compares two files of routing, as experts trace --out writes them: the same
texts under two policies or models, or different texts.

For each layer it prints how far the loads of the experts are apart: the total
variation (the part of the load that would have to move) and the Jensen-Shannon
distance, both 0 to 1; and a map of the differences, B less A. For documents of
the same id, as far as their tokens are the same, it prints how many tokens have
another set of experts, or another likeliest expert, how far the gates moved
(the mean total variation of a token's gates, each divided by their sum), and
the tokens that changed most.

troupe experts trace --text book.txt --out two.routing
troupe experts trace --text book.txt --experts 1 --out one.routing
troupe experts diff two.routing one.routing`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 10, Usage: "tokens that changed most, to be listed"},
			&cli.StringFlag{Name: "csv", Usage: "`FILE` to write the differences to, - for standard output", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "png", Usage: "`FILE` for a picture", TakesFile: true, Category: category},
			&cli.StringFlag{Name: "svg", Usage: "`FILE` for a picture of vectors", TakesFile: true, Category: category},
			jsonFlag("print one JSON object instead of tables"),
			modelFlag(),
		},
		Action: p.diff,
	}
}

// diffReport is the result as JSON; its names are a promise.
type diffReport struct {
	A         string         `json:"a"`
	B         string         `json:"b"`
	Documents int            `json:"documents"` // with the same id in both
	Alike     int            `json:"alike"`     // of them, those with the same tokens
	Layers    []layerDiff    `json:"layers"`
	Most      []changeReport `json:"most"`
}

type layerDiff struct {
	Layer          int       `json:"layer"`
	SharesA        []float64 `json:"shares_a"`
	SharesB        []float64 `json:"shares_b"`
	TotalVariation float64   `json:"total_variation"`
	JensenShannon  float64   `json:"jensen_shannon"`
	Tokens         int64     `json:"tokens"`        // compared one by one
	Changed        float64   `json:"changed"`       // part of them with another set of experts
	FirstChanged   float64   `json:"first_changed"` // with another likeliest expert
	Moved          float64   `json:"moved"`         // mean total variation of their gates
}

type changeReport struct {
	Document string  `json:"document"`
	Position int     `json:"position"`
	Token    int32   `json:"token"`
	Before   string  `json:"before"`
	Text     string  `json:"text"`
	After    string  `json:"after"`
	Layers   int     `json:"layers"` // with another set of experts
	Moved    float64 `json:"moved"`  // summed over layers
}

func (p *program) diff(c *cli.Context) (err error) {
	if c.NArg() != 2 {
		return usagef("%d arguments, want two files of routing, A and B", c.NArg())
	}
	top := c.Int("top")
	if top < 0 || top > 10_000 {
		return badFlag("top", fmt.Errorf("%d, want 0 to 10000", top))
	}
	var in [2]*trace.Reader
	for i := range in {
		if in[i], err = await(c.Context, func() (*trace.Reader, error) { return trace.Open(c.Args().Get(i)) }); err != nil {
			return err
		}
		defer closeInto(&err, in[i].Close)
	}
	d, err := look.NewDiff(in[0].Header, in[1].Header, top)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", c.Args().Get(0), c.Args().Get(1), err)
	}
	spell, err := p.newSpeller(c, in[0].Header)
	if err != nil {
		return err
	}
	cause := d.Run(followed(c.Context, spell, in[0]), followed(c.Context, spell, in[1]))
	if cause != nil && !errors.Is(cause, trace.ErrCut) {
		return cause
	}
	r := reportOf(d, spell)
	r.A, r.B = c.Args().Get(0), c.Args().Get(1)
	return errors.Join(p.showDiff(c, d, r, in), cause)
}

// followed reads documents until the program is to end, and lets the speller see whether their tokens are its own.
func followed(ctx context.Context, spell *speller, in *trace.Reader) func() (*trace.Doc, error) {
	return func() (*trace.Doc, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := in.Next()
		if d != nil {
			spell.see(d)
		}
		return d, err
	}
}

func reportOf(d *look.Diff, spell *speller) diffReport {
	r := diffReport{Documents: d.Documents, Alike: d.Alike, Most: []changeReport{}}
	for l := range d.A.Layers {
		a, b := d.A.Share(look.Use, l), d.B.Share(look.Use, l)
		n := float64(max(d.Rows[l], 1))
		r.Layers = append(r.Layers, layerDiff{Layer: l, SharesA: a, SharesB: b, TotalVariation: look.TotalVariation(a, b), JensenShannon: look.JensenShannon(a, b),
			Tokens: d.Rows[l], Changed: float64(d.Changed[l]) / n, FirstChanged: float64(d.First[l]) / n, Moved: d.Moved[l] / n})
	}
	for _, c := range d.Most() {
		r.Most = append(r.Most, changeReport{Document: c.ID, Position: c.Position, Token: c.Token, Before: spell.all(c.Before), Text: spell.one(c.Token),
			After: spell.all(c.After), Layers: c.Layers, Moved: c.Moved})
	}
	return r
}

// heatOf is the map of the differences, B less A.
func heatOf(r diffReport) *heat {
	h := &heat{what: "difference", title: "Shares of the experts, B less A", unit: "percentage points", rows: "layer", cols: "expert", decimals: 1, percent: true, diverging: true}
	m := heatMap{sideNames: []string{"TV", "JS"}, sideNote: "TV: total variation of the loads; JS: Jensen-Shannon distance"}
	for _, l := range r.Layers {
		row := make([]float64, len(l.SharesA))
		for e := range row {
			row[e] = l.SharesB[e] - l.SharesA[e]
		}
		m.row, m.values = append(m.row, l.Layer), append(m.values, row)
		m.side = append(m.side, []float64{l.TotalVariation, l.JensenShannon})
		m.col = numbers(len(row))
	}
	h.maps = []heatMap{m}
	h.stretch()
	return h
}

func (p *program) showDiff(c *cli.Context, d *look.Diff, r diffReport, in [2]*trace.Reader) error {
	h := heatOf(r)
	if err := p.pictures(c, h); err != nil {
		return err
	}
	if name := c.String("csv"); name != "" {
		if err := p.toFile(name, h.writeCSV); err != nil || name == "-" {
			return err
		}
	}
	if c.Bool("json") {
		return writeJSON(p.out, r)
	}
	v := heatView{ink: p.ink(), columns: p.columns()}
	text := v.text(h) + "\n" + p.changesTable(r)
	if len(r.Most) > 0 {
		text += "\n" + mostText(r, v, d.A.Layers)
	}
	if err := p.print(text); err != nil {
		return err
	}
	for i, name := range []string{r.A, r.B} {
		p.notice("%s: %s", name, strings.Join(about(in[i].Header), ", "))
	}
	switch {
	case r.Documents == 0:
		p.notice("no document has the same id in both: tokens are not compared one by one")
	case r.Alike < r.Documents:
		p.notice("%d documents are in both, %d with the same tokens: others are compared as far as these are the same", r.Documents, r.Alike)
	default:
		p.notice("%d documents are in both, with the same tokens", r.Documents)
	}
	return nil
}

// changesTable says how many tokens changed, by layer.
func (p *program) changesTable(r diffReport) string {
	var rows [][]string
	for _, l := range r.Layers {
		if l.Tokens == 0 {
			continue
		}
		rows = append(rows, []string{fmt.Sprint(l.Layer), thousands(l.Tokens), fmt.Sprintf("%.2f %%", 100*l.Changed), fmt.Sprintf("%.2f %%", 100*l.FirstChanged), fmt.Sprintf("%.4f", l.Moved)})
	}
	if len(rows) == 0 {
		return ""
	}
	return p.tableOf([]string{"Layer", "Tokens", "Other experts", "Other first", "Gates moved"}, rows, 0, 1, 2, 3, 4)
}

// mostText lists the tokens that changed most, in their texts.
func mostText(r diffReport, v heatView, layers int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Tokens that changed most: gates moved (of %d), layers changed, document:position\n", layers)
	for _, c := range r.Most {
		word := "[" + shown(c.Text) + "]"
		if v.ink != noInk {
			word = "\x1b[7m" + shown(c.Text) + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%6.2f %3d  %-12s %s%s%s\n", c.Moved, c.Layers, fmt.Sprintf("%s:%d", shown(c.Document), c.Position), oneLine(c.Before), word, oneLine(c.After))
	}
	return b.String()
}
