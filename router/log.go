package router

import "math"

// log is the natural logarithm of a positive normal number, off by 2e-7 of max(1, |ln x|) at most. It is finite for
// everything else, so that p log p of a p that is 0 is 0, and of one that is not finite is not finite.
//
// x = m 2^e with m from sqrt(1/2) to sqrt(2), and ln m = 2 atanh(s) with s = (m-1)/(m+1), |s| < 0.172: the series
// s + s^3/3 + s^5/5 + s^7/7 leaves out less than 3e-8.
func log(x float32) float32 {
	const sqrtHalf = 0x3f3504f3 // bits of sqrt(1/2): subtracted, they leave e in the exponent's place
	bits := math.Float32bits(x)
	e := int32(bits-sqrtHalf) >> 23
	m := math.Float32frombits(bits - uint32(e)<<23)
	s := (m - 1) / (m + 1)
	s2 := s * s
	return float32(e)*math.Ln2 + 2*s*(1+s2*(1./3+s2*(1./5+s2*(1./7))))
}
