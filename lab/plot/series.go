package plot

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// grid draws a line at every tick.
type grid struct{}

// Plot implements plot.Plotter.
func (grid) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.LineStyle{Color: rule, Width: 0.75}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		c.StrokeLine2(style, toX(t.Value), c.Min.Y, toX(t.Value), c.Max.Y)
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(style, c.Min.X, toY(t.Value), c.Max.X, toY(t.Value))
	}
}

// seriesPlot draws one series.
type seriesPlot struct {
	*Series
	index int
	taken *obstacles // what labels keep clear of
}

// Plot implements plot.Plotter.
func (s *seriesPlot) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	mark, line := look(s.index, s.Dashed)
	bar := draw.LineStyle{Color: line.Color, Width: 1.2}
	var points []vg.Point
	for i := range s.X {
		if !isFinite(s.X[i]) || !isFinite(s.Y[i]) {
			continue
		}
		at := vg.Point{X: toX(s.X[i]), Y: toY(s.Y[i])}
		points = append(points, at)
		s.taken.point(at, mark.Radius)
		if s.Low != nil && isFinite(s.Low[i]) && isFinite(s.High[i]) {
			const cap = 4
			low, high := toY(s.Low[i]), toY(s.High[i])
			c.StrokeLine2(bar, at.X, low, at.X, high)
			s.taken.line([]vg.Point{{X: at.X, Y: low}, {X: at.X, Y: high}})
			c.StrokeLine2(bar, at.X-cap, low, at.X+cap, low)
			c.StrokeLine2(bar, at.X-cap, high, at.X+cap, high)
		}
	}
	if s.Line {
		c.StrokeLines(line, points)
		s.taken.line(points)
	}
	if !s.NoMarks {
		for _, at := range points {
			c.DrawGlyphNoClip(mark, at)
		}
	}
}
