package main

import (
	"fmt"
	"io"
	"strings"

	"troupe/lab"
	"troupe/lab/saliency"
	"troupe/router"
)

// pruneReport is the result as JSON; its names are a promise.
type pruneReport struct {
	Method  string                    `json:"method"`
	Tokens  int                       `json:"calibration_tokens"`
	Layers  []prunedLayer             `json:"layers"`
	Before  figures                   `json:"before"` // held out
	After   figures                   `json:"after"`
	Domains map[string]beforeAndAfter `json:"domains"`
	Bytes   struct {
		Before int64 `json:"before"`
		After  int64 `json:"after"`
	} `json:"bytes"` // of weights
	order []string // domains
}

type beforeAndAfter struct {
	Before figures `json:"before"`
	After  figures `json:"after"`
}

// prunedLayer is what stays of a layer, and why.
type prunedLayer struct {
	Kept    []int `json:"kept"`
	Dropped []int `json:"dropped"`
	// Loss is the mean distance of the layer's output from what it was, Norm its mean length; with a method of search.
	Loss   *float64       `json:"loss,omitempty"`
	Norm   *float64       `json:"norm,omitempty"`
	Scores []expertScores `json:"scores"` // by expert
}

// expertScores are the scores of an expert; tokens are those that chose it.
type expertScores struct {
	REAP      float64 `json:"reap"`
	EAN       float64 `json:"ean"`
	Frequency int     `json:"frequency"`
	Router    float64 `json:"router"`  // share of the probabilities
	Largest   float64 `json:"largest"` // largest absolute value of an output
}

// report puts the result together.
func (r *pruning) report(layers []saliency.Choice, before, after []lab.Quality, policy router.Policy) pruneReport {
	held := r.texts.heldOut
	out := pruneReport{Method: string(r.method), Tokens: tokensOf(r.texts.calibration), Domains: map[string]beforeAndAfter{},
		Before: r.figures(r.usual, sumOf(held, before, "")), After: r.figures(policy, sumOf(held, after, ""))}
	for _, d := range held {
		if _, known := out.Domains[d.Domain]; d.Domain != "" && !known {
			out.order = append(out.order, d.Domain)
			out.Domains[d.Domain] = beforeAndAfter{r.figures(r.usual, sumOf(held, before, d.Domain)), r.figures(policy, sumOf(held, after, d.Domain))}
		}
	}
	for l, choice := range layers {
		s := &r.scores.Layers[l]
		p := prunedLayer{Kept: choice.Kept, Dropped: others(choice.Kept, r.sizes.Experts)}
		if r.method.Searches() {
			p.Loss, p.Norm = &choice.Loss, &choice.Norm
		}
		for e := range s.Experts {
			p.Scores = append(p.Scores, expertScores{REAP: s.Score(saliency.REAP, e), EAN: s.Score(saliency.EAN, e), Frequency: s.Experts[e].Tokens,
				Router: s.Experts[e].Mass / float64(max(s.Tokens, 1)), Largest: s.Experts[e].Largest})
		}
		out.Layers = append(out.Layers, p)
	}
	return out
}

// print shows what stays by layer, and the quality before and after.
func (r *pruning) print(out pruneReport) error {
	why := "Output changes, %"
	if !r.method.Searches() {
		why = "Score of the dropped, least of the kept"
	}
	var rows [][]string
	for l, layer := range out.Layers {
		rows = append(rows, []string{fmt.Sprint(l), experts(layer.Kept), experts(layer.Dropped), r.why(l, layer)})
	}
	var b strings.Builder
	b.WriteString(r.tableOf([]string{"Layer", "Kept", "Dropped", why}, rows, 0))
	b.WriteString("\n")
	rows = nil
	row := func(name string, before, after figures) {
		rows = append(rows, []string{name, thousands(int64(before.Tokens)), fmt.Sprintf("%.4f", before.Perplexity), fmt.Sprintf("%.4f", after.Perplexity), change(after.Perplexity, before.Perplexity)})
	}
	for _, name := range out.order {
		row(label(name), out.Domains[name].Before, out.Domains[name].After)
	}
	row("total", out.Before, out.After)
	rows = append(rows, []string{"weights", "", humanBytes(out.Bytes.Before), humanBytes(out.Bytes.After), change(float64(out.Bytes.After), float64(out.Bytes.Before))})
	b.WriteString(r.tableOf([]string{"Held out", "Tokens", "Before", "After", "Change"}, rows, 1, 2, 3, 4))
	if _, err := io.WriteString(r.out, b.String()); err != nil {
		return err
	}
	r.notice("%s from %s tokens; perplexity before with %s of %d experts, after with %s of %d; learned from %d documents, judged by %d", r.method, thousands(int64(out.Tokens)),
		out.Before.Experts, r.sizes.Experts, out.After.Experts, r.keep, len(r.texts.calibration), len(r.texts.heldOut))
	return nil
}

// why is the loss of a layer's subset, or the scores beside the cut.
func (r *pruning) why(l int, layer prunedLayer) string {
	if r.method.Searches() {
		if *layer.Norm == 0 {
			return "0"
		}
		return fmt.Sprintf("%.2f", 100**layer.Loss / *layer.Norm)
	}
	var texts []string
	for _, e := range layer.Dropped {
		texts = append(texts, fmt.Sprintf("%.4g", r.scores.Layers[l].Score(r.method, e)))
	}
	least := r.scores.Layers[l].Score(r.method, layer.Kept[0])
	for _, e := range layer.Kept {
		least = min(least, r.scores.Layers[l].Score(r.method, e))
	}
	return fmt.Sprintf("%s | %.4g", clipList(texts), least)
}

// experts is a list of them, cut where it would fill the line.
func experts(list []int) string {
	var texts []string
	for _, e := range list {
		texts = append(texts, fmt.Sprint(e))
	}
	return clipList(texts)
}

func clipList(texts []string) string {
	const most = 12
	if len(texts) > most {
		return fmt.Sprintf("%s … (%d)", strings.Join(texts[:most], " "), len(texts))
	}
	return strings.Join(texts, " ")
}
