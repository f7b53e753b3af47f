package main

import (
	"math"

	"troupe/lab/look"
)

// heatReport is experts heatmap as JSON; its names are a promise.
type heatReport struct {
	What      string        `json:"what"`
	Unit      string        `json:"unit"` // of values: "" a part of 1
	Experts   int           `json:"num_experts"`
	Texts     int           `json:"texts"`
	Maps      []mapReport   `json:"maps"`
	Layers    []layerReport `json:"layers"` // what was counted in all
	TopTokens []topReport   `json:"top_tokens,omitempty"`
}

// mapReport is one map; Rows and Columns are numbers of layers or experts.
type mapReport struct {
	Domain  string       `json:"domain,omitempty"`
	Layer   string       `json:"layer,omitempty"`
	Rows    []int        `json:"rows"`
	Columns []int        `json:"columns"`
	Values  [][]*float64 `json:"values"` // null: none
}

type layerReport struct {
	Layer           int       `json:"layer"`
	Tokens          int64     `json:"tokens"`
	Used            []int64   `json:"used"`  // tokens by expert
	First           []int64   `json:"first"` // by the likeliest expert
	Gate            []float64 `json:"gate"`  // sums
	Entropy         float64   `json:"entropy"`
	ExpertsPerToken float64   `json:"experts_per_token"`
}

type topReport struct {
	Layer    int     `json:"layer"`
	Expert   int     `json:"expert"`
	Token    int32   `json:"token"`
	Text     string  `json:"text"`
	Used     int64   `json:"used"`
	Seen     int64   `json:"seen"`
	Expected float64 `json:"expected"`
	Surprise float64 `json:"g2"`
}

func (m *mapping) report(h *heat, s source) heatReport {
	all := m.domains.All
	r := heatReport{What: m.what, Experts: all.Experts, Texts: m.docs}
	if !h.percent {
		r.Unit = h.unit
	}
	for _, one := range h.maps {
		out := mapReport{Rows: one.row, Columns: one.col}
		if h.first == "domain" {
			out.Domain = one.name
		} else {
			out.Layer = one.name
		}
		for _, row := range one.values {
			out.Values = append(out.Values, nullable(row))
		}
		r.Maps = append(r.Maps, out)
	}
	for _, l := range m.layers {
		n := l * all.Experts
		r.Layers = append(r.Layers, layerReport{Layer: l, Tokens: all.Rows[l], Used: all.Used[n:][:all.Experts], First: all.First[n:][:all.Experts],
			Gate: zeroed(all.Gate[n:][:all.Experts]), Entropy: look.Entropy(all.Share(look.Use, l)), ExpertsPerToken: all.PerToken(l)})
	}
	if m.tokens == nil {
		return r
	}
	for i, l := range m.typical {
		for e := range all.Experts {
			for _, u := range m.tokens.Top(i, e, m.top) {
				r.TopTokens = append(r.TopTokens, topReport{l, e, u.Token, s.spell.one(u.Token), u.Used, u.Seen, u.Expected, u.Surprise})
			}
		}
	}
	return r
}

func isNumber(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// nullable are values for JSON, which has no NaN.
func nullable(row []float64) []*float64 {
	out := make([]*float64, len(row))
	for i := range row {
		if isNumber(row[i]) {
			out[i] = &row[i]
		}
	}
	return out
}

// zeroed are sums for JSON: those of a file's gates that are no numbers become 0.
func zeroed(sums []float64) []float64 {
	out := make([]float64, len(sums))
	for i, v := range sums {
		if isNumber(v) {
			out[i] = v
		}
	}
	return out
}
