package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"troupe/lab/plot"
)

// losses are what --by means, with units.
var losses = map[string]string{
	"kl": "KL divergence, nats a token", "loss": "loss, nats a token more", "output": "output moves, part of its length", "lexi": "output moves, part of its length (random inputs)",
}

// comment says how the policy came about.
func (r *tuned) comment(t *tuning) []string {
	lines := []string{
		fmt.Sprintf("counts by layer for %.4g experts a token and layer, by %s over %s tokens, %d assignments measured, seed %d", r.Budget, r.By,
			thousands(int64(tokensOf(t.texts.calibration))), len(r.Evaluated), t.seed),
		fmt.Sprintf("held out, %s tokens:", thousands(int64(r.HeldOut[0].Tokens))),
	}
	for _, h := range r.HeldOut {
		lines = append(lines, fmt.Sprintf("%s (%s): %.3f experts, perplexity %.4f, KL %.4f", h.Name, h.Experts, h.ExpertsPerToken, h.Perplexity, h.KL))
	}
	return lines
}

// print shows sensitivities and the comparison.
func (t *tuning) print(r tuned, policy bool) error {
	header := []string{"Layer"}
	right := []int{0}
	for k := range t.most {
		header = append(header, fmt.Sprintf("%d expert%s", k+1, map[bool]string{true: "s"}[k > 0]))
		right = append(right, k+1)
	}
	var rows [][]string
	for l, costs := range r.Sensitivities {
		row := []string{fmt.Sprint(l)}
		for k, c := range costs {
			mark := "  "
			if r.Counts[l] == k+1 {
				mark = " *"
			}
			row = append(row, fmt.Sprintf("%.5f%s", c, mark))
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	b.WriteString(t.tableOf(header, rows, right...))
	b.WriteString("\n")
	rows = nil
	line := func(name string, f figures) {
		rows = append(rows, []string{name, fmt.Sprintf("%.3f", f.ExpertsPerToken), fmt.Sprintf("%.4f", f.Loss), fmt.Sprintf("%.4f", f.Perplexity),
			change(f.Perplexity, r.HeldOut[0].Perplexity), fmt.Sprintf("%.4f", f.KL), fmt.Sprintf("%.2f", 100*f.Agreement)})
	}
	for _, h := range r.HeldOut {
		name := h.Name
		if name == "uniform" {
			name += " " + h.Experts
		}
		line(name, h.figures)
	}
	if len(r.Random) > 0 {
		best, mean, worst := spread(r.Random)
		line("random, best", best)
		line("random, mean", mean)
		line("random, worst", worst)
	}
	b.WriteString(t.tableOf([]string{"Held out", "Experts/token", "Loss", "Perplexity", "Change", "KL", "Top-1"}, rows, 1, 2, 3, 4, 5, 6))
	if policy {
		fmt.Fprintf(&b, "\n%s\n", r.Policy)
	}
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return err
	}
	t.notice("sensitivities: %s, of a layer alone; * has been chosen; %d assignments measured by the search, %d random ones; experts by layer: %s", losses[t.by], len(r.Evaluated), len(r.Random), r.Policy)
	return nil
}

// spread is the best, the mean and the worst of assignments, by loss; the mean perplexity is that of the mean loss.
func spread(list []figures) (best, mean, worst figures) {
	best, worst = list[0], list[0]
	n := float64(len(list))
	for _, f := range list {
		if f.Loss < best.Loss {
			best = f
		}
		if f.Loss > worst.Loss {
			worst = f
		}
		mean.ExpertsPerToken += f.ExpertsPerToken / n
		mean.Loss += f.Loss / n
		mean.KL += f.KL / n
		mean.Agreement += f.Agreement / n
	}
	mean.Perplexity = min(math.Exp(mean.Loss), math.MaxFloat64)
	return best, mean, worst
}

// plot draws what each layer costs, a line for each count.
func (t *tuning) plot(r tuned) error {
	if t.plots == "" {
		return nil
	}
	chart := plot.Chart{Title: "What a layer costs with another number of experts", X: "layer", Y: losses[t.by], WholeX: true, FromZeroY: true,
		Note: fmt.Sprintf("%s, by %s; usual: %d of %d experts, which the other layers keep", t.launch.dir.name, t.by, t.sizes.Selected, t.sizes.Experts)}
	for k := range t.most {
		if k+1 == t.sizes.Selected {
			continue
		}
		s := plot.Series{Name: fmt.Sprintf("%d expert%s", k+1, map[bool]string{true: "s"}[k > 0]), Line: true}
		for l, costs := range r.Sensitivities {
			s.X, s.Y = append(s.X, float64(l)), append(s.Y, costs[k])
		}
		chart.Series = append(chart.Series, s)
	}
	f, err := chart.Figure()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.plots, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{"sensitivities.png": f.WritePNG, "sensitivities.svg": f.WriteSVG} {
		if err := t.toFile(filepath.Join(t.plots, name), write); err != nil {
			return err
		}
	}
	t.notice("%s: sensitivities.png and sensitivities.svg", t.plots)
	return nil
}
