package palette

import "math"

// experts are the colours of experts, neighbours far apart.
var experts = [...]Colour{
	{0xe6, 0x9f, 0x00}, // orange
	{0x56, 0xb4, 0xe9}, // sky blue
	{0x00, 0x9e, 0x73}, // bluish green
	{0xf0, 0xe4, 0x42}, // yellow
	{0x00, 0x72, 0xb2}, // blue
	{0xd5, 0x5e, 0x00}, // vermilion
	{0xcc, 0x79, 0xa7}, // reddish purple
	{0xbb, 0xbb, 0xbb}, // grey
}

// NumExperts is how many experts have a colour of their own; the next ones have the same in another style.
const NumExperts = len(experts)

// Expert is the colour of an expert, and how often its colour came before: styles tell those apart.
func Expert(e int) (c Colour, style int) { return experts[e%NumExperts], e / NumExperts }

// stops are the colours that a scale runs through, at equal distances.
type stops []Colour

var (
	sequential = stops{{0xf4, 0xf7, 0xfb}, {0xb9, 0xd6, 0xea}, {0x6c, 0xab, 0xd4}, {0x2d, 0x72, 0xae}, {0x0b, 0x2a, 0x55}}
	diverging  = stops{{0x8f, 0x3a, 0x00}, {0xee, 0x9d, 0x55}, {0xf6, 0xf5, 0xf2}, {0x6d, 0xa3, 0xd2}, {0x12, 0x3f, 0x7a}}
)

// Sequential is the colour of a value of 0 (nearly white) to 1 (dark blue). What is outside counts as the end; NaN as 0.
func Sequential(v float64) Colour { return sequential.at(v) }

// Diverging is the colour of a value of -1 (orange) through 0 (nearly white) to 1 (blue). What is outside counts as
// the end; NaN as 0.
func Diverging(v float64) Colour {
	if math.IsNaN(v) {
		v = 0
	}
	return diverging.at((v + 1) / 2)
}

func (s stops) at(v float64) Colour {
	if math.IsNaN(v) {
		v = 0
	}
	v = min(max(v, 0), 1) * float64(len(s)-1)
	i := min(int(v), len(s)-2)
	part := v - float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + part*(float64(b)-float64(a)))) }
	a, b := s[i], s[i+1]
	return Colour{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B)}
}

// ramp are indices of a terminal's 256 colours: the nearest ones of a scale would change in hue.
type ramp []int

var (
	sequentialRamp = ramp{255, 153, 117, 75, 33, 26, 25, 18, 17}
	divergingRamp  = ramp{94, 130, 166, 208, 215, 223, 255, 153, 117, 75, 33, 26, 25}
)

// SequentialIndex is [Sequential] in a terminal's 256 colours.
func SequentialIndex(v float64) int { return sequentialRamp.at(v) }

// DivergingIndex is [Diverging] in a terminal's 256 colours.
func DivergingIndex(v float64) int {
	if math.IsNaN(v) {
		v = 0
	}
	return divergingRamp.at((v + 1) / 2)
}

func (r ramp) at(v float64) int {
	if math.IsNaN(v) {
		v = 0
	}
	return r[int(math.Round(min(max(v, 0), 1)*float64(len(r)-1)))]
}
