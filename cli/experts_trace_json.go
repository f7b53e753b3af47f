package main

import (
	"slices"

	"troupe/lab/page"
	"troupe/lab/trace"
)

// routingDoc is a document as JSON; its names are a promise.
type routingDoc struct {
	ID      string       `json:"id"`
	Domain  string       `json:"domain,omitempty"`
	Experts string       `json:"experts,omitempty"` // the policy, where it is not that of the file
	Prompt  int          `json:"prompt_tokens"`
	Tokens  []int32      `json:"tokens"`
	Rows    []routingRow `json:"rows"`
}

type routingRow struct {
	Position int         `json:"position"`
	Text     string      `json:"text"`
	Experts  [][]int32   `json:"experts"` // by layer and rank
	Gates    [][]float32 `json:"gates"`
}

func routingLine(d *trace.Doc, words []page.Word) routingDoc {
	line := routingDoc{ID: d.ID, Domain: d.Domain, Experts: d.Experts, Prompt: d.Prompt, Tokens: d.Tokens, Rows: []routingRow{}}
	for i := range words {
		if !words[i].Routed {
			continue
		}
		r := routingRow{Position: i, Text: words[i].Text}
		for l := range words[i].Path.Layers() {
			experts, gates := words[i].Path.At(l)
			r.Experts, r.Gates = append(r.Experts, experts), append(r.Gates, writable(gates))
		}
		line.Rows = append(line.Rows, r)
	}
	return line
}

// writable are gates that JSON can hold: a file may have others, which become 0.
func writable(gates []float32) []float32 {
	out := slices.Clone(gates)
	for i, g := range out {
		if !isNumber(float64(g)) {
			out[i] = 0
		}
	}
	return out
}
