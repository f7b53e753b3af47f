package plot

import (
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes of text, in points: none is below 11 (15 pixels).
const (
	titleSize = 15
	labelSize = 12
	noteSize  = 11
	tickSize  = 11.5
)

const margin = vg.Length(9) // around a figure, points

var (
	ink   = color.NRGBA{0x22, 0x22, 0x22, 0xff}
	faint = color.NRGBA{0x60, 0x60, 0x60, 0xff}
	rule  = color.NRGBA{0xdd, 0xdd, 0xdd, 0xff}
)

// colours are those of Okabe and Ito but for yellow, which is hard to see on white.
var colours = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, // blue
	{0xd5, 0x5e, 0x00, 0xff}, // vermillion
	{0x00, 0x9e, 0x73, 0xff}, // bluish green
	{0xcc, 0x79, 0xa7, 0xff}, // reddish purple
	{0xe6, 0x9f, 0x00, 0xff}, // orange
	{0x56, 0xb4, 0xe9, 0xff}, // sky blue
	{0x00, 0x00, 0x00, 0xff}, // black
}

// shapes of marks; their number and that of colours have no common divisor but 1, so that pairs repeat late.
var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PlusGlyph{},
}

// look is how series i is drawn.
func look(i int, dashed bool) (mark draw.GlyphStyle, line draw.LineStyle) {
	c := colours[i%len(colours)]
	mark = draw.GlyphStyle{Color: c, Radius: 3.6, Shape: shapes[i%len(shapes)]}
	line = draw.LineStyle{Color: c, Width: 1.8}
	if dashed {
		line.Dashes = []vg.Length{6, 4}
	}
	return mark, line
}

var fonts = font.NewCache(liberation.Collection())

// textStyle is dark text of a size in points.
func textStyle(size font.Length, x text.XAlignment, y text.YAlignment) text.Style {
	return text.Style{
		Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, XAlign: x, YAlign: y,
		Handler: text.Plain{Fonts: fonts},
	}
}
