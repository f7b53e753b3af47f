package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

var keep = flag.String("keep", "", "folder for the figures of the tests, to be looked at")

// figures are one of each kind.
func figures(t *testing.T) map[string]*Figure {
	t.Helper()
	list := map[string]*Figure{}
	add := func(name string, f *Figure, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list[name] = f
	}
	f, err := counts().Figure()
	add("counts", f, err)
	many := Chart{Title: "Perplexity by domain", Note: "12 lines end at nearly the same height, and their names do not overlap", X: "experts a token and layer", Y: "perplexity", WholeX: true}
	for i := range 12 {
		many.Series = append(many.Series, Series{Name: fmt.Sprint("domain ", i), X: []float64{1, 2, 4, 8}, Y: []float64{2 - float64(i)/20, 1.4 + float64(i)/1000, 1.3, 1.31 + float64(i)/2000}, Line: true})
	}
	f, err = many.Figure()
	add("domains", f, err)
	front := Chart{Title: "Quality against bytes", X: "active bytes a token (MB)", Y: "perplexity", FromZeroX: true}
	points := Series{Name: "policies"}
	for i := range 14 {
		points.X = append(points.X, 2+float64(i%7)/3)
		points.Y = append(points.Y, 1.4-float64(i%5)/50)
		points.Labels = append(points.Labels, fmt.Sprintf("top-p:0.%d", i))
	}
	front.Series = []Series{points, {Name: "front", X: []float64{2, 3, 4}, Y: []float64{1.4, 1.33, 1.32}, Line: true, Dashed: true, NoMarks: true}}
	f, err = front.Figure()
	add("front", f, err)
	f, err = (&Chart{Title: "No points at all", X: "x", Y: "y", Series: []Series{{Name: "gone", X: []float64{math.NaN()}, Y: []float64{1}}}}).Figure()
	add("empty", f, err)
	f, err = loads().Figure()
	add("heat", f, err)
	heat := loads()
	heat.Diverging, heat.Title, heat.Unit = true, "Difference", "percentage points"
	for _, row := range heat.Values {
		for k := range row {
			row[k] -= 13
		}
	}
	g, err := heat.Figure()
	add("diverging", g, err)
	f, err = Tile("Two maps", 2, f, g, list["counts"])
	add("tile", f, err)
	return list
}

func counts() *Chart {
	return &Chart{Title: "Perplexity by number of experts", Note: "37,118 tokens; bars: 95 % intervals", X: "experts a token and layer", Y: "perplexity", WholeX: true,
		Series: []Series{{X: []float64{1, 2, 3, 4, 5, 6, 7, 8}, Y: []float64{1.415, 1.357, 1.356, 1.358, 1.359, 1.36, 1.361, 1.362},
			Low: []float64{1.40, 1.34, 1.34, 1.34, 1.34, 1.34, 1.34, 1.34}, High: []float64{1.43, 1.37, 1.37, 1.37, 1.38, 1.38, 1.38, 1.38}, Line: true}}}
}

func loads() *Heat {
	h := &Heat{Title: "Share of tokens", Note: "a <b>&'\"\x01 note", X: "expert", Y: "layer", Unit: "% of tokens", Format: "%.1f"}
	for i := range 6 {
		h.Rows = append(h.Rows, fmt.Sprint(i))
		var row []float64
		for e := range 8 {
			row = append(row, 5+math.Mod(float64(i*7+e*5), 17))
		}
		h.Values = append(h.Values, row)
	}
	h.Values[2][3] = math.NaN()
	for e := range 8 {
		h.Cols = append(h.Cols, fmt.Sprint(e))
	}
	return h
}

// TestFigures: every figure is a PNG of its size with more than one colour, well-formed XML as SVG, and the same
// bytes each time.
func TestFigures(t *testing.T) {
	again := figures(t)
	for name, f := range figures(t) {
		var raster, vector, twice bytes.Buffer
		if err := errors.Join(f.WritePNG(&raster), f.WriteSVG(&vector), again[name].WritePNG(&twice), again[name].WriteSVG(&twice)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if both := raster.String() + vector.String(); both != twice.String() {
			t.Errorf("%s: other bytes when drawn again", name)
		}
		if *keep != "" {
			err := errors.Join(os.WriteFile(filepath.Join(*keep, name+".png"), raster.Bytes(), 0o644), os.WriteFile(filepath.Join(*keep, name+".svg"), vector.Bytes(), 0o644))
			if err != nil {
				t.Fatal(err)
			}
		}
		picture, err := png.Decode(&raster)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b := picture.Bounds(); b.Dx() != f.width || b.Dy() != f.height {
			t.Errorf("%s: %v, want %d x %d", name, b, f.width, f.height)
		}
		checkFrame(t, name, picture)
		for d := xml.NewDecoder(&vector); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}

// checkFrame wants nothing cut at the edges: the outermost pixels are white, those within are not all.
func checkFrame(t *testing.T, name string, p image.Image) {
	t.Helper()
	b := p.Bounds()
	marks := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.NRGBAModel.Convert(p.At(x, y)) == (color.NRGBA{255, 255, 255, 255}) {
				continue
			}
			marks++
			if x < 4 || y < 4 || x >= b.Max.X-4 || y >= b.Max.Y-4 {
				t.Errorf("%s: something at the edge, %d, %d", name, x, y)
				return
			}
		}
	}
	if marks < 1000 {
		t.Errorf("%s: %d pixels are not white", name, marks)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		t         ticks
		want      string
	}{
		{0.7, 8.3, ticks{whole: true, many: 9}, "1 2 3 4 5 6 7 8"},
		{1.339, 1.431, ticks{many: 7}, "1.34 1.36 1.38 1.40 1.42"},
		{0, 3.2e6, ticks{many: 5}, "0 1000000 2000000 3000000"},
		{-1, 1, ticks{many: 5}, "−1.0 −0.5 0.0 0.5 1.0"},
		{0.9, 1.1, ticks{whole: true, many: 9}, "1"},
		{0, 100, ticks{whole: true, many: 9}, "0 20 40 60 80 100"},
		{3, 3, ticks{many: 5}, "3"},
	} {
		var got []string
		for _, tick := range c.t.Ticks(c.low, c.high) {
			got = append(got, tick.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, s, c.want)
		}
	}
}

// TestSpread: names keep their distance and stay within the area where there is room.
func TestSpread(t *testing.T) {
	names := []name{{at: vg.Point{Y: 99}}, {at: vg.Point{Y: 98}}, {at: vg.Point{Y: 50}}, {at: vg.Point{Y: 5}}, {at: vg.Point{Y: 1}}, {at: vg.Point{Y: 1}}}
	spread(names, 10, 0, 95)
	for i, n := range names {
		if n.shown < 0 || n.shown > 95 || i > 0 && names[i-1].shown-n.shown < 10 {
			t.Errorf("name %d at %v: %v", i, n.shown, names)
		}
	}
	if names[2].shown != 50 {
		t.Errorf("one with room is moved to %v", names[2].shown)
	}
}

// TestWrap: lines fit, words stay whole, and what is too much is told.
func TestWrap(t *testing.T) {
	fits := func(s string) bool { return len([]rune(s)) <= 10 }
	for text, want := range map[string]string{
		"":                                "",
		"one":                             "one",
		"one two  three":                  "one two|three",
		"one\ntwo\x00three four five six": "one|two three|four five …",
		"averyveryverylongword and so":    "averyveryverylongword|and so",
	} {
		if got := strings.Join(wrap(text, 3, fits), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestPlace: a label stands nearer to its point than to any other.
func TestPlace(t *testing.T) {
	area := vg.Rectangle{Max: vg.Point{X: 300, Y: 300}}
	l := &pointLabels{taken: &obstacles{}}
	points := []vg.Point{{X: 100, Y: 100}, {X: 100, Y: 112}, {X: 290, Y: 290}, {X: 3, Y: 3}}
	for _, p := range points {
		l.taken.point(p, 3)
	}
	for i, p := range points {
		box := l.place(p, 50, 10, area)
		for _, b := range l.taken.labels {
			if overlap(b, box) {
				t.Errorf("label %d at %v lies on another", i, box)
			}
		}
		l.taken.labels = append(l.taken.labels, box)
		if box.Min.X < 0 || box.Min.Y < 0 || box.Max.X > 300 || box.Max.Y > 300 {
			t.Errorf("label %d at %v leaves the area", i, box)
		}
		for k, other := range points {
			if k != i && distance(box, p) < withLeader && distance(box, other) <= distance(box, p) {
				t.Errorf("label %d at %v is nearer to point %d", i, box, k)
			}
		}
	}
}

// TestRefused: what cannot be drawn is an error.
func TestRefused(t *testing.T) {
	nan := math.NaN()
	for name, err := range map[string]error{
		"lengths": second((&Chart{Series: []Series{{X: []float64{1}}}}).Figure()),
		"bars":    second((&Chart{Series: []Series{{X: []float64{1}, Y: []float64{1}, Low: []float64{1}}}}).Figure()),
		"points":  second((&Chart{Series: []Series{{X: make([]float64, maxPoints+1), Y: make([]float64, maxPoints+1)}}}).Figure()),
		"size":    second((&Chart{Width: 1 << 20}).Figure()),
		"cells":   second((&Heat{}).Figure()),
		"ragged":  second((&Heat{Rows: []string{"a"}, Cols: []string{"b"}, Values: [][]float64{{1, 2}}}).Figure()),
		"scale":   second((&Heat{Rows: []string{"a"}, Cols: []string{"b"}, Values: [][]float64{{1}}, Low: nan}).Figure()),
		"tile":    second(Tile("", 1)),
	} {
		if err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := errors.New("no space left")
	f, err := counts().Figure()
	if err != nil {
		t.Fatal(err)
	}
	if e := f.WritePNG(failing{full}); !errors.Is(e, full) {
		t.Errorf("PNG: %v", e)
	}
	if e := f.WriteSVG(failing{full}); !errors.Is(e, full) {
		t.Errorf("SVG: %v", e)
	}
}

func second(_ *Figure, err error) error { return err }

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
