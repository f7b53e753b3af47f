package tensor

import "math"

// BF16 values are the upper half of an IEEE float32.

// FromBF16 widens a bfloat16, exactly.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBF16 rounds to the nearest bfloat16, ties to even; a NaN stays a NaN.
func ToBF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// RoundBF16 rounds to the nearest value that bfloat16 holds, ties to even.
func RoundBF16(f float32) float32 { return FromBF16(ToBF16(f)) }
