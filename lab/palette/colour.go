package palette

import (
	"fmt"
	"math"
)

// Colour is one of sRGB, 8 bits a channel.
type Colour struct{ R, G, B uint8 }

// Hex is the colour as CSS writes it, #e69f00.
func (c Colour) Hex() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Black and White are the two inks.
var (
	Black = Colour{}
	White = Colour{255, 255, 255}
)

// Luminance is the relative luminance of WCAG 2, 0 for black to 1 for white.
func (c Colour) Luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is the contrast ratio of WCAG 2, 1 to 21; text wants 4.5.
func Contrast(a, b Colour) float64 {
	x, y := a.Luminance(), b.Luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Ink is the one of black and white that is read best on the colour.
func (c Colour) Ink() Colour {
	if Contrast(c, Black) >= Contrast(c, White) {
		return Black
	}
	return White
}

// cube are the levels of a channel in the 216 colours of a terminal.
var cube = [6]int{0, 95, 135, 175, 215, 255}

// Index is the nearest of a terminal's 256 colours, of the cube (16 to 231) and the greys (232 to 255): the first 16
// are as their user wants them.
func (c Colour) Index() int {
	best, at := math.MaxInt, 0
	for i := 16; i < 256; i++ {
		o := OfIndex(i)
		dr, dg, db := int(o.R)-int(c.R), int(o.G)-int(c.G), int(o.B)-int(c.B)
		if d := dr*dr + dg*dg + db*db; d < best {
			best, at = d, i
		}
	}
	return at
}

// OfIndex is what a terminal shows for an index of 16 to 255.
func OfIndex(i int) Colour {
	if i >= 232 {
		v := uint8(8 + 10*(i-232))
		return Colour{v, v, v}
	}
	i -= 16
	return Colour{uint8(cube[i/36]), uint8(cube[i/6%6]), uint8(cube[i%6])}
}
