package ref

import "math"

// The elementary functions are part of the definition: other tiers repeat them operation by operation.

const (
	log2e  = float32(1.44269504088896341)
	ln2Hi  = float32(0.693359375)    // few bits, so that n*ln2Hi is exact
	ln2Lo  = float32(-2.12194440e-4) // ln 2 - ln2Hi
	magic  = float32(3 << 22)        // v + magic - magic rounds |v| < 2^22 to an integer, ties to even
	expMax = float32(88.37)          // above: +Inf (a little early, so that the scale 2^n is a normal number)
	expMin = float32(-87.33)         // below: 0 (no subnormal results)
)

// Exp is e^x in float32: x = n ln 2 + r, a polynomial of degree 6 on r, times 2^n. Its relative error
// is at most 2e-7 where the result is a normal number. NaN stays NaN.
func Exp(x float32) float32 {
	switch {
	case x > expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	case x != x:
		return x
	}
	n := float32(float32(x*log2e)+magic) - magic
	r := x - float32(n*ln2Hi)
	r -= float32(n * ln2Lo)
	// Coefficients of Cephes' expf (S. L. Moshier).
	p := float32(1.9875691500e-4)
	p = float32(p*r) + 1.3981999507e-3
	p = float32(p*r) + 8.3334519073e-3
	p = float32(p*r) + 4.1665795894e-2
	p = float32(p*r) + 1.6666665459e-1
	p = float32(p*r) + 5.0000001201e-1
	y := float32(p*float32(r*r)) + r
	y++
	return y * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// Tanh in float32: an odd polynomial for |x| < 0.625, else 1 - 2/(e^2|x| + 1) with the sign of x.
// Relative error at most 3e-7. NaN stays NaN.
func Tanh(x float32) float32 {
	a := x
	if a < 0 {
		a = -a
	}
	if a < 0.625 {
		// Coefficients of Cephes' tanhf (S. L. Moshier).
		z := float32(x * x)
		p := float32(-5.70498872745e-3)
		p = float32(p*z) + 2.06390887954e-2
		p = float32(p*z) - 5.37397155531e-2
		p = float32(p*z) + 1.33314422036e-1
		p = float32(p*z) - 3.33332819422e-1
		return float32(float32(p*z)*x) + x
	}
	if a > 10 { // 1 in float32
		a = 10
	}
	y := 1 - 2/(Exp(2*a)+1)
	if x < 0 {
		y = -y
	}
	return y
}

const (
	sqrt2OverPi = float32(0.7978845608028654)
	geluCubic   = float32(0.044715)
)

// Gelu is the tanh form of arXiv 1606.08415, as jax.nn.gelu computes it:
// x * (0.5 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))).
func Gelu(x float32) float32 {
	cubic := float32(geluCubic * float32(float32(x*x)*x))
	inner := float32(sqrt2OverPi * (x + cubic))
	return x * float32(0.5*(1+Tanh(inner)))
}

// InvSqrt is 1/sqrt(x), both operations rounded to float32.
func InvSqrt(x float32) float32 { return 1 / float32(math.Sqrt(float64(x))) }
