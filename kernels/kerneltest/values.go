package kerneltest

import (
	"math"
	"math/rand/v2"
)

// values says what a buffer is filled with.
type values int

const (
	normal   values = iota // deviation 1
	outliers               // every 7th element of a row 300 times as large
	special                // one odd value a row, of oddities in turn
	tiny                   // below 2^-100, where a block of activations counts as zero
	large                  // deviation 40, so that attention meets its cap
)

var oddities = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)),
	0x1p-149, -0x1p-130, 0x1p-126, math.MaxFloat32, -math.MaxFloat32, 0x1p-100,
}

// fill draws rows of that width.
func (v values) fill(rng *rand.Rand, dst []float32, width int) {
	for i := range dst {
		x := rng.NormFloat64()
		switch {
		case v == outliers && i%width%7 == 3:
			x *= 300
		case v == tiny:
			x *= 0x1p-104
		case v == large:
			x *= 40
		}
		dst[i] = float32(x)
	}
	if v == special {
		for r := 0; r*width < len(dst); r++ {
			dst[r*width+rng.IntN(width)] = oddities[r%len(oddities)]
		}
	}
}

// scales says what the scales of an int8 weight are.
type scales int

const (
	plain  scales = iota // around 0.01
	signed               // some zero, negative, subnormal, huge
)

func (s scales) fill(rng *rand.Rand, dst []float32) {
	for i := range dst {
		dst[i] = float32(0.005 + 0.01*rng.Float64())
		if s == signed {
			switch i % 7 {
			case 1:
				dst[i] = 0
			case 2:
				dst[i] = -dst[i]
			case 4:
				dst[i] = 0x1p-140
			case 5:
				dst[i] = -0x1p100
			}
		}
	}
}

// int8s draws weights over the whole range; both ends occur often.
func int8s(rng *rand.Rand, dst []int8) {
	for i := range dst {
		switch v := rng.IntN(1024); {
		case v < 64:
			dst[i] = -128
		case v < 128:
			dst[i] = 127
		default:
			dst[i] = int8(v)
		}
	}
}
