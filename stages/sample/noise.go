package sample

import (
	"math"
	"math/bits"
)

// Gumbel noise is -ln(-ln u) for uniform u in (0, 1): the token of the largest logit plus noise is a
// draw from the softmax.

// gumbel is the noise of the exact sampler: u = (word + 1/2) / 2^32, never 0 or 1; between -3.2 and 22.9.
func gumbel(word uint32) float64 {
	return -ln(-ln((float64(word) + 0.5) * 0x1p-32))
}

// gumbelBound is an upper bound of gumbel and gumbelF32, by the number of leading ones of the word:
// -ln u >= 1-u >= 2^-(ones+1). A token whose logit cannot win even so needs no logarithm. ln 2 is
// rounded up by more than all roundings of the noise.
var gumbelBound = func() (b [33]float64) {
	for ones := range b {
		b[ones] = float64(ones+1) * 0.693148
	}
	return b
}()

func boundOf(word uint32) float64 { return gumbelBound[bits.LeadingZeros32(^word)] }

// uniformF32 is the reference's float32 uniform in [0, 1), of 23 bits.
func uniformF32(word uint32) float32 { return math.Float32frombits(word>>9|0x3f800000) - 1 }

// gumbelF32 is the reference's float32 noise, both logarithms rounded to float32; u = 0 becomes the
// smallest normal number.
func gumbelF32(word uint32) float32 {
	u := float64(uniformF32(word))
	if u == 0 {
		u = smallestF32
	}
	inner := float32(-ln(u))
	return float32(-ln(float64(inner)))
}

// byteAt is random byte i: words give their low byte first.
func byteAt(words []uint32, i int) uint8 { return uint8(words[i/4] >> (i % 4 * 8)) }

// gumbelBF16 is the reference's bfloat16 noise by the upper 7 bits of a random byte: all of its 128
// values, from -4.46875 to 4.84375. The compiled program rounds once, after the second logarithm.
var gumbelBF16 = func() (g [128]float32) {
	for i := range g {
		u := float64(i) / 128
		if i == 0 {
			u = smallestF32
		}
		inner := float32(-ln(u))
		g[i] = roundBF16(float32(-ln(float64(inner))))
	}
	return g
}()
