package plot

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Chart is points over two axes.
type Chart struct {
	Title string
	Note  string // below the title: what was measured, what bars mean
	X, Y  string // labels of the axes, with units
	// WholeX has ticks at whole numbers alone. FromZero has the axes begin at 0.
	WholeX               bool
	FromZeroX, FromZeroY bool
	Series               []Series
	Width, Height        int // pixels; 0: the default
}

// Series is points that belong together. X and Y are equally long; points with a number that is not finite are left out.
type Series struct {
	Name string // beside its end; "": none
	X, Y []float64
	// Low and High are the ends of the error bar of each point, on the axis of Y; nil: none.
	Low, High []float64
	Labels    []string // of the points; nil: none
	Line      bool     // joins the points in their order
	Dashed    bool     // the line
	NoMarks   bool
}

// maxPoints bounds a figure; more than that is a cloud.
const maxPoints = 100_000

func (c *Chart) check() error {
	n := 0
	for _, s := range c.Series {
		k := len(s.X)
		if len(s.Y) != k || s.Low != nil && (len(s.Low) != k || len(s.High) != k) || s.Labels != nil && len(s.Labels) != k {
			return fmt.Errorf("plot: series %q: %d x, %d y, %d low, %d high, %d labels: want as many of each", s.Name, k, len(s.Y), len(s.Low), len(s.High), len(s.Labels))
		}
		n += k
	}
	if n > maxPoints {
		return fmt.Errorf("plot: %d points, want at most %d", n, maxPoints)
	}
	return nil
}

// Figure lays the chart out. It keeps the slices.
func (c *Chart) Figure() (*Figure, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	own := *c
	return newFigure(c.Width, c.Height, own.draw)
}

// draw draws the chart. The canvas is cut into title, axes with the data between them, and names on the right.
func (c *Chart) draw(page draw.Canvas) {
	page = heading(page, c.Title, c.Note)
	names := c.names()
	room := vg.Length(0)
	style := textStyle(labelSize, draw.XLeft, draw.YCenter)
	for _, n := range names {
		room = max(room, style.Width(n.text)*1.08+nameIndent) // 1.08: SVG is shown in other fonts as well
	}
	p := c.axes()
	body := draw.Crop(page, 0, -room, 0, 0)
	p.Draw(body)
	area := p.DataCanvas(body)
	toX, toY := p.Transforms(&area)
	for i := range names {
		names[i].at = vg.Point{X: toX(names[i].x), Y: toY(names[i].y)}
	}
	placeNames(page, area.Rectangle, names, style)
}

// maxHeading is how many lines title and note have at most, each.
const maxHeading = 3

// heading writes title and note, and returns what is left.
func heading(page draw.Canvas, title, note string) draw.Canvas {
	page = draw.Crop(page, margin, -margin, margin, -margin)
	for _, part := range []struct {
		text string
		size vg.Length
	}{{title, titleSize}, {note, noteSize}} {
		style := textStyle(part.size, draw.XLeft, draw.YTop)
		if part.size == noteSize {
			style.Color = faint
		}
		fits := func(s string) bool { return style.Width(s)*1.04 < page.Max.X-page.Min.X }
		for _, line := range wrap(part.text, maxHeading, fits) {
			page.FillText(style, vg.Point{X: page.Min.X, Y: page.Max.Y}, line)
			page = draw.Crop(page, 0, 0, 0, -part.size*1.45)
		}
	}
	return draw.Crop(page, 0, 0, 0, -4)
}

// axes is the plot with everything but names.
func (c *Chart) axes() *plot.Plot {
	var x, y span
	for _, s := range c.Series {
		for i := range s.X {
			if isFinite(s.X[i]) && isFinite(s.Y[i]) {
				x.add(s.X[i])
				y.add(s.Y[i])
				if s.Low != nil {
					y.add(s.Low[i], s.High[i])
				}
			}
		}
	}
	p := newAxes(c.X, c.Y)
	p.X.Min, p.X.Max = x.widened(0.05)
	p.Y.Min, p.Y.Max = y.widened(0.08)
	if c.FromZeroX {
		p.X.Min = min(p.X.Min, 0)
		if x.low >= 0 {
			p.X.Min = 0
		}
	}
	if c.FromZeroY && y.low >= 0 {
		p.Y.Min = 0
	}
	p.X.Tick.Marker = ticks{whole: c.WholeX, many: 9}
	p.Y.Tick.Marker = ticks{many: 7}
	p.Add(grid{})
	taken := &obstacles{}
	for i := range c.Series {
		p.Add(&seriesPlot{Series: &c.Series[i], index: i, taken: taken})
	}
	p.Add(&pointLabels{chart: c, taken: taken})
	return p
}

// newAxes is a plot with labels and fonts.
func newAxes(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = plain(x), plain(y)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		label, tick := a.Label.TextStyle, a.Tick.Label
		a.Label.TextStyle = textStyle(labelSize, label.XAlign, label.YAlign)
		a.Label.TextStyle.Rotation = label.Rotation
		a.Tick.Label = textStyle(tickSize, tick.XAlign, tick.YAlign)
		a.Label.Padding = 5
		a.Color, a.Tick.Color = faint, faint
		a.Tick.Length = 5
		a.Padding = 0
	}
	return p
}
