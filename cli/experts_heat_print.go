package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	width "github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"troupe/lab/page"
	"troupe/lab/plot"
)

// heatView shows maps on a terminal.
type heatView struct {
	ink     ink
	columns int
}

const (
	cellWidth = 6 // columns of a number
	headWidth = 8 // in front of a row
	sideWidth = 9
	swatches  = 16 // of the scale
)

// text is all maps. What is too wide comes in blocks of columns.
func (v heatView) text(h *heat) string {
	var b strings.Builder
	b.WriteString(h.title + map[bool]string{true: ", in " + h.unit + "\n", false: "\n"}[h.percent])
	for i := range h.maps {
		v.one(&b, h, &h.maps[i])
	}
	v.scale(&b, h)
	return b.String()
}

func (v heatView) one(b *strings.Builder, h *heat, m *heatMap) {
	b.WriteString("\n")
	if title := h.titleOf(m); title != "" {
		b.WriteString(page.Visible(title) + "\n")
	}
	side := len(m.sideNames) * sideWidth
	fit := max((v.columns-headWidth-side)/cellWidth, 1)
	for from := 0; from < len(m.col); from += fit {
		to := min(from+fit, len(m.col))
		last := to == len(m.col)
		line := fmt.Sprintf("%*s ", headWidth-1, h.rows)
		for _, c := range m.col[from:to] {
			line += fmt.Sprintf("%*d ", cellWidth-1, c)
		}
		if last {
			for _, name := range m.sideNames {
				line += fmt.Sprintf("%*s", sideWidth, name)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for i, row := range m.values {
			line := fmt.Sprintf("%*d ", headWidth-1, m.row[i])
			for _, x := range row[from:to] {
				cell := fmt.Sprintf("%*s ", cellWidth-1, h.number(x))
				if x == x {
					cell = v.ink.shade(h.shade(x), h.diverging, cell)
				}
				line += cell
			}
			if last && m.side != nil {
				for _, x := range m.side[i] {
					line += fmt.Sprintf("%*.3f", sideWidth, x)
				}
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
}

// scale says which colour is which value.
func (v heatView) scale(b *strings.Builder, h *heat) {
	if len(h.maps) > 0 && h.maps[0].sideNote != "" {
		b.WriteString("\n" + h.maps[0].sideNote + "\n")
	}
	if v.ink == noInk {
		return
	}
	low, high := h.number(h.low), h.number(h.high)
	switch {
	case h.ratio:
		low, high = fmt.Sprintf("1/%d", maxRatio), fmt.Sprint(maxRatio)
	case h.diverging:
		low = h.number(-h.high)
	}
	b.WriteString("\n" + low + " ")
	for i := range swatches {
		at := float64(i) / (swatches - 1)
		if h.diverging {
			at = 2*at - 1
		}
		b.WriteString(v.ink.shade(at, h.diverging, "  "))
	}
	fmt.Fprintf(b, " %s %s\n", high, h.unit)
}

// typicalText names the tokens of each expert.
func (m *mapping) typicalText(s *speller, v heatView) string {
	var b strings.Builder
	for i, l := range m.typical {
		fmt.Fprintf(&b, "\nLayer %d: tokens most above expectation, and how many times as often\n", l)
		for e := range m.domains.All.Experts {
			head := fmt.Sprintf(" %d ", e)
			line := v.ink.expert(e, head)
			at := len(head)
			for _, u := range m.tokens.Top(i, e, m.top) {
				text := fmt.Sprintf("  %s %.1f×", shown(s.one(u.Token)), u.Lift())
				n := width.StringWidth(text)
				if at+n > v.columns && at > len(head) {
					line += "\n" + strings.Repeat(" ", len(head))
					at = len(head)
				}
				line += text
				at += n
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// shown is a token with its spaces and breaks seen.
func shown(token string) string {
	token = strings.NewReplacer(" ", "·", "\n", "↵", "\t", "→").Replace(page.Visible(token))
	return width.Snip(token, 2*wordColumns, "…")
}

// pictures writes --png and --svg.
func (p *program) pictures(c *cli.Context, h *heat) error {
	png, svg := c.String("png"), c.String("svg")
	if png == "" && svg == "" {
		return nil
	}
	f, err := h.figure()
	if err != nil {
		return err
	}
	if png != "" {
		if err := p.toFile(png, f.WritePNG); err != nil {
			return err
		}
	}
	if svg != "" {
		return p.toFile(svg, f.WriteSVG)
	}
	return nil
}

const (
	mapWidth, mapHeight = 620, 420 // of one of several maps, in pixels
	manyMaps            = 64       // that a picture may have
	fullCells           = 16       // columns up to which cells have numbers
)

// figure is the maps as a picture: several of them beside each other.
func (h *heat) figure() (*plot.Figure, error) {
	if len(h.maps) > manyMaps {
		return nil, fmt.Errorf("%d maps are too many for a picture, want at most %d: choose some by --layer", len(h.maps), manyMaps)
	}
	var list []*plot.Figure
	title := h.title
	if h.ratio {
		title = "Lift by domain, log2: 1 is twice as often as in all texts"
	}
	for i := range h.maps {
		m := &h.maps[i]
		one := plot.Heat{Title: h.titleOf(m), X: h.cols, Y: h.rows, Rows: texts(m.row), Cols: texts(m.col), Unit: h.unit, Diverging: h.diverging}
		if len(h.maps) == 1 {
			one.Title, one.Note = title, h.titleOf(m)
		} else {
			one.Width, one.Height = mapWidth, mapHeight
		}
		one.Low, one.High = h.low, h.high
		if h.diverging {
			one.Low = -h.high
		}
		if len(m.col) <= fullCells {
			one.Format = fmt.Sprintf("%%.%df", h.decimals)
		}
		if h.ratio {
			one.Unit = "log2 of the lift"
		}
		h.scaled(&one, m)
		f, err := one.Figure()
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return plot.Tile(title, 2, list...)
}

// scaled puts the values in the units of the picture.
func (h *heat) scaled(one *plot.Heat, m *heatMap) {
	factor := 1.
	if h.percent {
		factor = 100
	}
	one.Low, one.High = factor*one.Low, factor*one.High
	for _, row := range m.values {
		row = slices.Clone(row)
		for i := range row {
			if row[i] *= factor; h.ratio {
				row[i] = math.Log2(row[i])
			}
		}
		one.Values = append(one.Values, row)
	}
}

func texts(list []int) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = fmt.Sprint(n)
	}
	return out
}
