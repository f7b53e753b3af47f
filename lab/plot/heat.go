package plot

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Heat is a table of numbers shown as colours, with a bar that says which is which.
type Heat struct {
	Title, Note string
	X, Y        string // labels of the axes
	Rows, Cols  []string
	Values      [][]float64 // [rows][cols]; one that is not finite is struck out: no value
	Unit        string      // label of the colour bar
	// Low and High are the ends of the scale; both 0: those of the values. Diverging has another colour on each side of
	// the middle, which is 0 unless the ends say otherwise.
	Low, High float64
	Diverging bool
	Format    string // of the number in each cell, as in fmt ("%.2f"); "": none
	Width     int    // pixels; 0: the default
	Height    int
}

// maxCells bounds a heat map.
const maxCells = 250_000

// Figure lays the map out; the first row is on top. It keeps the slices.
func (h *Heat) Figure() (*Figure, error) {
	cells := len(h.Rows) * len(h.Cols)
	if cells == 0 || cells > maxCells || len(h.Values) != len(h.Rows) {
		return nil, fmt.Errorf("plot: heat map of %d x %d cells with %d rows of values, want 1 to %d cells and as many rows", len(h.Rows), len(h.Cols), len(h.Values), maxCells)
	}
	for i, row := range h.Values {
		if len(row) != len(h.Cols) {
			return nil, fmt.Errorf("plot: heat map: row %d has %d values, want %d", i, len(row), len(h.Cols))
		}
	}
	if !isFinite(h.Low) || !isFinite(h.High) || h.Low > h.High {
		return nil, fmt.Errorf("plot: heat map: scale from %v to %v, want it to ascend", h.Low, h.High)
	}
	own := *h
	return newFigure(h.Width, h.Height, own.draw)
}

// scale is the ends of the colours.
func (h *Heat) scale() (low, high float64) {
	if low, high = h.Low, h.High; low != high {
		return low, high
	}
	var s span
	for _, row := range h.Values {
		s.add(row...)
	}
	if h.Diverging {
		top := max(math.Abs(s.low), math.Abs(s.high))
		s.low, s.high = -top, top
	}
	if s.low == s.high {
		return s.low - 0.5, s.high + 0.5
	}
	return s.low, s.high
}

const (
	barWidth = vg.Length(16)
	barRoom  = vg.Length(78) // bar, its numbers and its label
)

func (h *Heat) draw(page draw.Canvas) {
	page = heading(page, h.Title, h.Note)
	p := newAxes(h.X, h.Y)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(len(h.Cols)), 0, float64(len(h.Rows))
	p.X.Tick.Marker = nominal(h.Cols, false)
	p.Y.Tick.Marker = nominal(h.Rows, true)
	p.X.Tick.Length, p.Y.Tick.Length = 0, 0
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	low, high := h.scale()
	p.Add(&cells{h, low, high})
	body := draw.Crop(page, 0, -barRoom, 0, 0)
	p.Draw(body)
	area := p.DataCanvas(body)
	h.bar(page, vg.Rectangle{Min: vg.Point{X: area.Max.X + 14, Y: area.Min.Y}, Max: vg.Point{X: area.Max.X + 14 + barWidth, Y: area.Max.Y}}, low, high)
}

// maxTicks is how many names stand at an axis; others are left out evenly.
const maxTicks = 40

// nominal names the middles of rows or columns.
func nominal(names []string, down bool) plot.ConstantTicks {
	every := (len(names) + maxTicks - 1) / maxTicks
	var list plot.ConstantTicks
	for i, n := range names {
		at := float64(i) + 0.5
		if down {
			at = float64(len(names)) - at
		}
		if i%every == 0 {
			list = append(list, plot.Tick{Value: at, Label: plain(n)})
		}
	}
	return list
}

// bar draws the colours with their numbers.
func (h *Heat) bar(page draw.Canvas, at vg.Rectangle, low, high float64) {
	const steps = 128
	for i := range steps {
		r := at
		r.Min.Y = at.Min.Y + (at.Max.Y-at.Min.Y)*vg.Length(i)/steps
		r.Max.Y = min(at.Min.Y+(at.Max.Y-at.Min.Y)*vg.Length(i+1)/steps+0.3, at.Max.Y)
		page.FillPolygon(h.colour((float64(i)+0.5)/steps), corners(r))
	}
	style := textStyle(tickSize, draw.XLeft, draw.YCenter)
	for _, t := range (ticks{many: 6}).Ticks(low, high) {
		y := at.Min.Y + vg.Length((t.Value-low)/(high-low))*(at.Max.Y-at.Min.Y)
		page.StrokeLine2(draw.LineStyle{Color: faint, Width: 0.75}, at.Max.X, y, at.Max.X+4, y)
		page.FillText(style, vg.Point{X: at.Max.X + 6, Y: y}, t.Label)
	}
	label := textStyle(labelSize, draw.XCenter, draw.YBottom)
	label.Rotation = math.Pi / 2
	page.FillText(label, vg.Point{X: page.Max.X, Y: (at.Min.Y + at.Max.Y) / 2}, plain(h.Unit))
}

// cells are the coloured squares.
type cells struct {
	*Heat
	low, high float64
}

// Plot implements plot.Plotter.
func (h *cells) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := textStyle(noteSize, draw.XCenter, draw.YCenter)
	wide, high := toX(1)-toX(0), toY(1)-toY(0)
	for i, row := range h.Values {
		top := float64(len(h.Rows) - i)
		for k, v := range row {
			r := vg.Rectangle{Min: vg.Point{X: toX(float64(k)), Y: toY(top - 1)}, Max: vg.Point{X: toX(float64(k + 1)), Y: toY(top)}}
			if !isFinite(v) {
				c.StrokeLine2(draw.LineStyle{Color: rule, Width: 1}, r.Min.X, r.Min.Y, r.Max.X, r.Max.Y)
				continue
			}
			share := min(max((v-h.low)/(h.high-h.low), 0), 1)
			fill := h.colour(share)
			c.FillPolygon(fill, corners(r))
			if h.Format == "" {
				continue
			}
			if text := fmt.Sprintf(h.Format, v); style.Width(text) < wide && style.Height(text) < high {
				style.Color = contrasting(fill)
				c.FillText(style, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: (r.Min.Y + r.Max.Y) / 2}, text)
			}
		}
	}
}

// The scales are points between which colours are mixed evenly: viridis from its light end (van der Walt and Smith),
// and orange, white, purple (ColorBrewer's PuOr).
var (
	sequential = []color.NRGBA{{0xfd, 0xe7, 0x25, 0xff}, {0x7a, 0xd1, 0x51, 0xff}, {0x22, 0xa8, 0x84, 0xff}, {0x2a, 0x78, 0x8e, 0xff}, {0x41, 0x44, 0x87, 0xff}, {0x44, 0x01, 0x54, 0xff}}
	diverging  = []color.NRGBA{{0xb3, 0x58, 0x06, 0xff}, {0xf1, 0xa3, 0x40, 0xff}, {0xfe, 0xe0, 0xb6, 0xff}, {0xf7, 0xf7, 0xf7, 0xff}, {0xd8, 0xda, 0xeb, 0xff}, {0x99, 0x8e, 0xc3, 0xff}, {0x54, 0x27, 0x88, 0xff}}
)

// colour is that of a place on the scale, 0 to 1.
func (h *Heat) colour(share float64) color.NRGBA {
	scale := sequential
	if h.Diverging {
		scale = diverging
	}
	at := share * float64(len(scale)-1)
	i := min(int(at), len(scale)-2)
	t := at - float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + t*(float64(b)-float64(a)))) }
	a, b := scale[i], scale[i+1]
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

// contrasting is black or white, whichever can be read on a colour (luma of ITU-R BT.601).
func contrasting(c color.NRGBA) color.Color {
	if 0.299*float64(c.R)+0.587*float64(c.G)+0.114*float64(c.B) > 140 {
		return color.Black
	}
	return color.White
}
