package plot

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// wrap breaks a text between words into lines that fit, at most so many; what is left then ends in an ellipsis.
func wrap(text string, most int, fits func(string) bool) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		word = plain(word)
		switch longer := strings.TrimSpace(line + " " + word); {
		case line == "" || fits(longer):
			line = longer
		case len(lines) == most-1:
			return append(lines, line+" …")
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// name is that of a series, beside the end of its line.
type name struct {
	text   string
	series int
	dashed bool
	line   bool
	marks  bool
	x, y   float64 // of the last point
	at     vg.Point
	shown  vg.Length // y of the text's middle
}

// nameIndent is what stands between the data and a name: a line to it, and its mark.
const nameIndent = vg.Length(46)

func (c *Chart) names() (list []name) {
	for i, s := range c.Series {
		if s.Name == "" {
			continue
		}
		for k := len(s.X) - 1; k >= 0; k-- {
			if isFinite(s.X[k]) && isFinite(s.Y[k]) {
				list = append(list, name{text: plain(s.Name), series: i, dashed: s.Dashed, line: s.Line, marks: !s.NoMarks, x: s.X[k], y: s.Y[k]})
				break
			}
		}
	}
	return list
}

// placeNames writes names on the right of the area, as near to the heights of their lines' ends as they fit below
// each other, with a thin line from there.
func placeNames(page draw.Canvas, area vg.Rectangle, names []name, style text.Style) {
	slices.SortStableFunc(names, func(a, b name) int { return cmp.Compare(b.at.Y, a.at.Y) })
	gap := style.Height("Ag") * 1.15
	spread(names, gap, area.Min.Y, area.Max.Y)
	for _, n := range names {
		mark, line := look(n.series, n.dashed)
		begin := area.Max.X + 4
		leader := draw.LineStyle{Color: line.Color, Width: 0.7}
		if n.line {
			page.StrokeLine2(leader, begin, n.at.Y, begin+12, n.shown)
			page.StrokeLine2(line, begin+12, n.shown, begin+34, n.shown)
		}
		if n.marks {
			page.DrawGlyphNoClip(mark, vg.Point{X: begin + 23, Y: n.shown})
		}
		page.FillText(style, vg.Point{X: begin + 38, Y: n.shown}, n.text)
	}
}

// spread gives names, from the top down, places at least a gap apart.
func spread(names []name, gap, low, high vg.Length) {
	next := high
	for i := range names {
		names[i].shown = min(names[i].at.Y, next)
		next = names[i].shown - gap
	}
	next = low
	for i := len(names) - 1; i >= 0 && names[i].shown < next; i-- {
		names[i].shown = next
		next += gap
	}
}

// obstacles are what labels of points keep clear of.
type obstacles struct {
	points []vg.Point
	boxes  []vg.Rectangle // of marks
	labels []vg.Rectangle
	lines  [][2]vg.Point
}

func (o *obstacles) point(at vg.Point, radius vg.Length) {
	o.points = append(o.points, at)
	r := radius + 1
	o.boxes = append(o.boxes, vg.Rectangle{Min: vg.Point{X: at.X - r, Y: at.Y - r}, Max: vg.Point{X: at.X + r, Y: at.Y + r}})
}

func (o *obstacles) line(points []vg.Point) {
	for i := 1; i < len(points); i++ {
		o.lines = append(o.lines, [2]vg.Point{points[i-1], points[i]})
	}
}

// cost is how much a box lies on that is the label of a point, and whether another point is as near to it.
func (o *obstacles) cost(box, area vg.Rectangle, own vg.Point) (cost float64) {
	near := distance(box, own)
	for _, p := range o.points {
		if p != own && near < withLeader && distance(box, p) < near*1.3 {
			cost += 15
		}
	}
	for _, b := range o.labels {
		if overlap(box, b) {
			cost += 50
		}
	}
	if box.Min.X < area.Min.X || box.Max.X > area.Max.X || box.Min.Y < area.Min.Y || box.Max.Y > area.Max.Y {
		cost += 100
	}
	for _, b := range o.boxes {
		if overlap(box, b) {
			cost += 10
		}
	}
	for _, l := range o.lines {
		if crosses(box, l) {
			cost++
		}
	}
	return cost
}

func overlap(a, b vg.Rectangle) bool {
	return a.Min.X < b.Max.X && b.Min.X < a.Max.X && a.Min.Y < b.Max.Y && b.Min.Y < a.Max.Y
}

// withLeader is from how far on a label has a line to its point.
const withLeader = 12

// padded is a box with a little air.
func padded(box vg.Rectangle) vg.Rectangle {
	const air = 1.5
	return vg.Rectangle{Min: vg.Point{X: box.Min.X - air, Y: box.Min.Y - air}, Max: vg.Point{X: box.Max.X + air, Y: box.Max.Y + air}}
}

// nearest is the point of a box that is nearest to another one.
func nearest(box vg.Rectangle, p vg.Point) vg.Point {
	return vg.Point{X: min(max(p.X, box.Min.X), box.Max.X), Y: min(max(p.Y, box.Min.Y), box.Max.Y)}
}

// distance is that of a point from a box; 0 within.
func distance(box vg.Rectangle, p vg.Point) vg.Length {
	n := nearest(box, p)
	return vg.Length(math.Hypot(float64(n.X-p.X), float64(n.Y-p.Y)))
}

// crosses tells whether a line goes through a box, by points along it.
func crosses(box vg.Rectangle, l [2]vg.Point) bool {
	const steps = 64
	for i := range steps + 1 {
		t := vg.Length(i) / steps
		p := vg.Point{X: l[0].X + t*(l[1].X-l[0].X), Y: l[0].Y + t*(l[1].Y-l[0].Y)}
		if p.X >= box.Min.X && p.X <= box.Max.X && p.Y >= box.Min.Y && p.Y <= box.Max.Y {
			return true
		}
	}
	return false
}

// pointLabels writes the labels of points where they lie on least.
type pointLabels struct {
	chart *Chart
	taken *obstacles
}

// maxLabels is how many points may have labels: more cannot be read, and looking for places takes long.
const maxLabels = 200

// Plot implements plot.Plotter.
func (l *pointLabels) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := textStyle(noteSize, draw.XLeft, draw.YBottom)
	n := 0
	for _, s := range l.chart.Series {
		for i := range s.Labels {
			if s.Labels[i] == "" || !isFinite(s.X[i]) || !isFinite(s.Y[i]) || n == maxLabels {
				continue
			}
			n++
			label := plain(s.Labels[i])
			box := l.place(vg.Point{X: toX(s.X[i]), Y: toY(s.Y[i])}, style.Width(label), style.Height(label), c.Rectangle)
			l.taken.labels = append(l.taken.labels, padded(box))
			at := vg.Point{X: toX(s.X[i]), Y: toY(s.Y[i])}
			if near := nearest(box, at); distance(box, at) > withLeader {
				c.StrokeLine2(draw.LineStyle{Color: faint, Width: 0.5}, at.X, at.Y, near.X, near.Y)
			}
			c.FillText(style, box.Min, label)
		}
	}
}

// place finds the best of the places around a point, near ones first.
func (l *pointLabels) place(at vg.Point, width, height vg.Length, area vg.Rectangle) (best vg.Rectangle) {
	least := math.Inf(1)
	for _, far := range []vg.Length{7, 15, 25, 40} {
		for _, d := range [][2]vg.Length{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}} {
			low := vg.Point{X: at.X + d[0]*far + (d[0]-1)/2*width, Y: at.Y + d[1]*far + (d[1]-1)/2*height}
			box := vg.Rectangle{Min: low, Max: vg.Point{X: low.X + width, Y: low.Y + height}}
			if cost := l.taken.cost(padded(box), area, at) + float64(far)/100; cost < least {
				least, best = cost, box
			}
		}
	}
	return best
}
