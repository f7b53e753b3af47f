package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"

	"troupe/lab/look"
)

// heat is what is shown of one count: maps with one scale.
type heat struct {
	what      string
	title     string
	unit      string
	rows      string // what a row of a map is
	cols      string
	first     string // what there is a map of each: "domain", "layer"; "": one map
	decimals  int
	percent   bool // values are times 100
	diverging bool // around 0
	ratio     bool // values are ratios, coloured by their logarithm
	low, high float64
	maps      []heatMap
}

// heatMap is a table of values; NaN is none.
type heatMap struct {
	name      string // of the domain or layer; may be empty
	note      string // for people
	row, col  []int  // numbers of layers or experts
	values    [][]float64
	side      [][]float64 // columns beside it, by row
	sideNames []string
	sideNote  string // what they are
}

// maxRatio is where the colours of ratios end.
const maxRatio = 4

// shade is the place of a value on the scale: 0 to 1, for diverging maps -1 to 1.
func (h *heat) shade(v float64) float64 {
	if h.ratio {
		v = math.Log2(max(v, 1e-9))
	}
	if h.diverging {
		return v / max(h.high, 1e-12)
	}
	return (v - h.low) / max(h.high-h.low, 1e-12)
}

// number is a value as it stands in a cell.
func (h *heat) number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case h.percent:
		v *= 100
	}
	step := math.Pow10(h.decimals)
	return strconv.FormatFloat(math.Round(v*step)/step+0, 'f', h.decimals, 64) // + 0 turns -0 into 0
}

// stretch ends the scale at the largest value of all maps.
func (h *heat) stretch() {
	for _, m := range h.maps {
		for _, row := range m.values {
			for _, v := range row {
				if h.diverging {
					v = math.Abs(v)
				}
				if v > h.high { // no NaN
					h.high = v
				}
			}
		}
	}
}

// heat makes the maps of what was counted.
func (m *mapping) heat(byDomain bool) (*heat, error) {
	all := m.domains.All
	h := &heat{what: m.what, rows: "layer", cols: "expert", decimals: 1, percent: true}
	switch m.what {
	case "share":
		h.title, h.unit = "Share of each expert in the choices of a layer", "%"
	case "gate":
		h.title, h.unit = "Share of each expert in the gates of a layer", "%"
	case "first":
		h.title, h.unit = "Share of the tokens whose likeliest expert it is", "%"
	case "lift":
		h.title, h.unit = "How many times as often as in all texts", "times"
		h.decimals, h.percent, h.diverging, h.ratio, h.high = 2, false, true, true, math.Log2(maxRatio)
	default:
		m.pairMaps(h)
		return h, nil
	}
	if byDomain {
		if len(m.domains.Names) == 1 && m.domains.Names[0] == "" {
			return nil, usagef("--by domain, --what lift: these texts have no domains: give them in a .jsonl file, as {\"text\": …, \"domain\": …}")
		}
		h.first = "domain"
		for _, name := range m.domains.Names {
			h.maps = append(h.maps, m.loadMap(name, m.domains.Of(name)))
		}
	} else {
		h.maps = append(h.maps, m.loadMap("", all))
	}
	if !h.ratio {
		h.stretch()
	}
	return h, nil
}

// loadMap is layers by experts.
func (m *mapping) loadMap(name string, c *look.Counts) heatMap {
	measure := measures[m.what]
	out := heatMap{name: name, row: m.layers, col: numbers(c.Experts), sideNames: []string{"entropy", "experts"},
		sideNote: "entropy of the shares in nats; experts a token uses"}
	rows := int64(0)
	for _, l := range m.layers {
		shares := c.Share(measure, l)
		out.side = append(out.side, []float64{look.Entropy(shares), c.PerToken(l)})
		if m.what == "lift" {
			shares = c.Lift(m.domains.All, measure, l)
		}
		out.values = append(out.values, shares)
		rows = max(rows, c.Rows[l])
	}
	out.note = thousands(rows) + " tokens"
	return out
}

// pairMaps are experts by experts, a map a layer.
func (m *mapping) pairMaps(h *heat) {
	h.rows, h.cols, h.first = "expert", "with", "layer"
	value := m.pairs.Given
	switch m.what {
	case "coactivation":
		h.title, h.unit = "Of the tokens of a row's expert, those of the column's too", "%"
	case "similarity":
		h.title, h.unit = "Cosine of the gates of two experts over all tokens", "cosine"
		value, h.percent, h.decimals = m.pairs.Cosine, false, 2
	case "jaccard":
		h.title, h.unit = "Tokens of both experts by those of at least one", "Jaccard index"
		value, h.percent, h.decimals = m.pairs.Jaccard, false, 2
	}
	for _, l := range m.layers {
		out := heatMap{name: strconv.Itoa(l), row: numbers(m.pairs.Experts), col: numbers(m.pairs.Experts)}
		for e := range m.pairs.Experts {
			row := make([]float64, m.pairs.Experts)
			for f := range row {
				if row[f] = value(l, e, f); e == f {
					row[f] = math.NaN() // it says nothing
				}
			}
			out.values = append(out.values, row)
		}
		h.maps = append(h.maps, out)
	}
	h.stretch()
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// writeCSV writes a line a value, with a heading; values as they are, not in per cent; "" is none.
func (h *heat) writeCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	head := []string{h.rows, h.cols, h.what}
	if h.first != "" {
		head = append([]string{h.first}, head...)
	}
	lines := [][]string{head}
	for _, m := range h.maps {
		for i, row := range m.values {
			for j, v := range row {
				line := []string{strconv.Itoa(m.row[i]), strconv.Itoa(m.col[j]), ""}
				if !math.IsNaN(v) {
					line[2] = strconv.FormatFloat(v, 'g', -1, 64)
				}
				if h.first != "" {
					line = append([]string{m.name}, line...)
				}
				lines = append(lines, line)
			}
		}
	}
	return w.WriteAll(lines)
}

// titleOf is a map's own.
func (h *heat) titleOf(m *heatMap) string {
	switch {
	case h.first == "":
		return m.note // may be empty
	case m.name == "":
		return fmt.Sprintf("no %s, %s", h.first, m.note)
	case h.first == "domain":
		return label(m.name) + ", " + m.note
	}
	return h.first + " " + m.name
}
