package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// loss is a line of the result; its names are a promise.
type loss struct {
	Loss       float64 `json:"loss"`       // nats a token
	Perplexity float64 `json:"perplexity"` // e^loss; the largest float64 where that is beyond it
	Tokens     int     `json:"tokens"`     // judged: all but the first of each document
	sum        float64
}

// documentLoss is the line of one document.
type documentLoss struct {
	Domain string `json:"domain,omitempty"`
	loss
}

// evalReport is the result as JSON.
type evalReport struct {
	Total           loss            `json:"total"`
	Domains         map[string]loss `json:"domains"`
	Documents       []documentLoss  `json:"documents"`
	Experts         string          `json:"experts"`
	Seconds         float64         `json:"seconds"`
	TokensPerSecond float64         `json:"tokens_per_second"`
	Incomplete      int             `json:"incomplete,omitempty"` // documents left out: cancelled or failed
}

func (l *loss) add(sum float64, tokens int) {
	l.sum += sum
	l.Tokens += tokens
	if l.Tokens > 0 {
		l.Loss = l.sum / float64(l.Tokens)
		l.Perplexity = min(math.Exp(l.Loss), math.MaxFloat64) // JSON has no infinity
	}
}

// report sums up in the order of the documents, so that the same run gives the same last digit. Documents
// that are not complete are left out and counted.
func (e *evaluation) report() evalReport {
	r := evalReport{Domains: map[string]loss{}, Documents: []documentLoss{}, Experts: e.policy.String(), Seconds: e.took.Seconds()}
	for i, s := range e.scores {
		if !s.done {
			r.Incomplete++
			continue
		}
		d := documentLoss{Domain: e.documents[i].domain}
		d.add(s.sum, s.tokens)
		r.Documents = append(r.Documents, d)
		r.Total.add(s.sum, s.tokens)
		if d.Domain != "" {
			l := r.Domains[d.Domain]
			l.add(s.sum, s.tokens)
			r.Domains[d.Domain] = l
		}
	}
	r.TokensPerSecond = float64(r.Total.Tokens) / max(r.Seconds, 1e-9)
	return r
}

func (e *evaluation) print(asJSON, documents bool) error {
	r := e.report()
	if asJSON {
		return writeJSON(e.out, r)
	}
	row := func(name string, l loss) []string {
		return []string{name, thousands(int64(l.Tokens)), fmt.Sprintf("%.6f", l.Loss), fmt.Sprintf("%.6f", l.Perplexity)}
	}
	var rows [][]string
	if documents {
		for i, d := range r.Documents {
			rows = append(rows, row(fmt.Sprintf("document %d %s", i, d.Domain), d.loss))
		}
	}
	var names []string // in the order of their first document
	for _, d := range r.Documents {
		if d.Domain != "" && !slices.Contains(names, d.Domain) {
			names = append(names, d.Domain)
		}
	}
	for _, name := range names {
		rows = append(rows, row(name, r.Domains[name]))
	}
	rows = append(rows, row("total", r.Total))
	_, err := io.WriteString(e.out, e.tableOf([]string{"", "Tokens", "Loss", "Perplexity"}, rows, 1, 2, 3))
	e.notice("%d documents in %s, %s tokens/s, experts %s", len(r.Documents), seconds(e.took), rate(r.TokensPerSecond), r.Experts)
	if r.Incomplete > 0 {
		e.notice("%d documents are not in it: they failed or were cancelled", r.Incomplete)
	}
	return err
}
