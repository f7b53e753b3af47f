package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Default size of a figure, in pixels of a screen with 96 to the inch.
const (
	Width  = 900
	Height = 600
)

const (
	dpi      = 96
	maxSide  = 20_000     // pixels
	maxArea  = 60_000_000 // pixels: 240 MB while a PNG is drawn
	maxTexts = 60         // runes of a name or label
)

// Figure is a drawing that is ready to be written.
type Figure struct {
	width, height int // pixels
	draw          func(draw.Canvas)
}

// length is that of so many pixels.
func length(pixels int) vg.Length { return vg.Length(pixels) * vg.Inch / dpi }

// newFigure checks the size; 0: the default.
func newFigure(width, height int, draw func(draw.Canvas)) (*Figure, error) {
	if width == 0 {
		width = Width
	}
	if height == 0 {
		height = Height
	}
	if width < 100 || height < 100 || width > maxSide || height > maxSide || width*height > maxArea {
		return nil, fmt.Errorf("plot: %d x %d pixels, want 100 to %d a side and at most %d in all", width, height, maxSide, maxArea)
	}
	return &Figure{width, height, draw}, nil
}

// WritePNG writes pixels.
func (f *Figure) WritePNG(w io.Writer) error {
	c := vgimg.NewWith(vgimg.UseWH(length(f.width), length(f.height)), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	f.draw(draw.New(c))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// WriteSVG writes vectors. Texts stay texts: where the font is missing, another sans-serif one is used.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.New(length(f.width), length(f.height))
	page := draw.New(c)
	page.FillPolygon(color.White, corners(page.Rectangle))
	f.draw(page)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	return err
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}

// Tile is figures of one size side by side, so many a row, under a title ("": none).
func Tile(title string, columns int, figures ...*Figure) (*Figure, error) {
	if len(figures) == 0 || columns < 1 {
		return nil, fmt.Errorf("plot: %d figures in %d columns, want at least one", len(figures), columns)
	}
	columns = min(columns, len(figures))
	width, height := figures[0].width, figures[0].height
	rows := (len(figures) + columns - 1) / columns
	head := 0
	if title != "" {
		head = 40
	}
	return newFigure(columns*width, rows*height+head, func(c draw.Canvas) {
		if title != "" {
			c.FillText(textStyle(titleSize, draw.XLeft, draw.YTop), vg.Point{X: c.Min.X + margin, Y: c.Max.Y - margin}, plain(title))
		}
		for i, f := range figures {
			x := c.Min.X + length(i%columns*width)
			y := c.Max.Y - length(head+(i/columns+1)*height)
			f.draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + length(f.width), Y: y + length(f.height)}}})
		}
	})
}

// plain makes a text one short line of what fonts and XML can show.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0xfff0 && r <= 0xffff {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if r := []rune(s); len(r) > maxTexts {
		return string(r[:maxTexts-1]) + "…"
	}
	return s
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
