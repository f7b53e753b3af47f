package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// loss is a line of the result; its names are a promise.
type loss struct {
	Loss       float64 `json:"loss"`       // nats a token
	Perplexity float64 `json:"perplexity"` // e^loss; the largest float64 where that is beyond it
	Tokens     int     `json:"tokens"`     // judged: all but the first of each document
	// Compared is there when the evaluation was against a second arithmetic.
	Compared *compared `json:"compared,omitempty"`
	sum      float64
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
	Arith           string          `json:"arith"`
	Against         string          `json:"against,omitempty"` // the arithmetic of compared
	Seconds         float64         `json:"seconds"`
	TokensPerSecond float64         `json:"tokens_per_second"`
	Incomplete      int             `json:"incomplete,omitempty"` // documents left out: cancelled or failed
}

func (l *loss) add(s score, against bool) {
	l.sum += s.sum
	l.Tokens += s.tokens
	if l.Tokens > 0 {
		l.Loss, l.Perplexity = lossOf(l.sum, float64(l.Tokens))
	}
	if against {
		if l.Compared == nil {
			l.Compared = &compared{}
		}
		l.Compared.add(s.contrast)
	}
}

// lossOf is the mean of a sum of -ln p and its perplexity.
func lossOf(sum, tokens float64) (loss, perplexity float64) {
	loss = sum / tokens
	return loss, min(math.Exp(loss), math.MaxFloat64) // JSON has no infinity
}

// report sums up in the order of the documents, so that the same run gives the same last digit. Documents
// that are not complete are left out and counted.
func (e *evaluation) report() evalReport {
	r := evalReport{Domains: map[string]loss{}, Documents: []documentLoss{}, Experts: e.policy.String(), Arith: e.launch.arith.String(), Seconds: e.took.Seconds()}
	against := e.against != nil
	if against {
		r.Against = e.against.arith.String()
	}
	for i, s := range e.scores {
		if !s.done {
			r.Incomplete++
			continue
		}
		d := documentLoss{Domain: e.documents[i].domain}
		d.add(s, against)
		d.Compared.finish()
		r.Documents = append(r.Documents, d)
		r.Total.add(s, against)
		if d.Domain != "" {
			l := r.Domains[d.Domain]
			l.add(s, against)
			r.Domains[d.Domain] = l
		}
	}
	r.Total.Compared.finish()
	for _, l := range r.Domains {
		l.Compared.finish()
	}
	r.TokensPerSecond = float64(r.Total.Tokens) / max(r.Seconds, 1e-9)
	return r
}

// row is a line of the table.
func (l loss) row(name string) []string {
	cells := []string{name, thousands(int64(l.Tokens))}
	c := l.Compared
	if c == nil {
		return append(cells, fmt.Sprintf("%.6f", l.Loss), fmt.Sprintf("%.6f", l.Perplexity))
	}
	cells = append(cells, fmt.Sprintf("%.4f", l.Perplexity), fmt.Sprintf("%.4f", c.Perplexity))
	for _, kl := range []float64{c.KLMean, c.KLMedian, c.KLP99, c.KLMax} {
		cells = append(cells, strings.Replace(fmt.Sprintf("%.1e", kl), "e-0", "e-", 1)) // 80 columns are few
	}
	return append(cells, fmt.Sprintf("%.2f", 100*c.Top1Agreement))
}

func (e *evaluation) print(asJSON, documents bool) error {
	r := e.report()
	if asJSON {
		return writeJSON(e.out, r)
	}
	var rows [][]string
	if documents {
		for i, d := range r.Documents {
			rows = append(rows, d.row(fmt.Sprintf("document %d %s", i, label(d.Domain))))
		}
	}
	var names []string // in the order of their first document
	for _, d := range r.Documents {
		if d.Domain != "" && !slices.Contains(names, d.Domain) {
			names = append(names, d.Domain)
		}
	}
	for _, name := range names {
		rows = append(rows, r.Domains[name].row(label(name)))
	}
	rows = append(rows, r.Total.row("total"))
	header := []string{"", "Tokens", "Loss", "Perplexity"}
	if e.against != nil {
		header = []string{"", "Tokens", "Perplexity", r.Against, "KL", "median", "99 %", "max", "Top-1"}
	}
	_, err := io.WriteString(e.out, e.tableOf(header, rows, 1, 2, 3, 4, 5, 6, 7, 8))
	e.notice("%s in %s, %s tokens/s, experts %s, arithmetic %s", plural(len(r.Documents), "document"), seconds(e.took), rate(r.TokensPerSecond), r.Experts, r.Arith)
	if r.Against != "" {
		e.notice("KL in nats a token, of %s from %s; Top-1: per cent of the tokens with the same likeliest one", r.Arith, r.Against)
	}
	if r.Incomplete > 0 {
		e.notice("%d documents are not in it: they failed or were cancelled", r.Incomplete)
	}
	return err
}
