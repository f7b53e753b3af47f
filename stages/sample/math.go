package sample

import "math"

// Elementary functions with the same bits on every processor: package math has assembly for some, and
// compilers may fuse a product into a sum unless it is converted explicitly, as here.

const (
	ln2Hi       = 0x1.62e42fefp-1  // 32 bits of ln 2, so that its product with an exponent is exact
	ln2Lo       = math.Ln2 - ln2Hi // the rest
	magic       = 3 << 51          // v + magic - magic rounds |v| < 2^51 to an integer, ties to even
	expLow      = -708.0           // below: 0, so that the result is never subnormal
	smallestF32 = 0x1p-126         // the smallest normal float32 and bfloat16
)

// expParts is the number of parts that exp2Part cuts an octave into: the more, the shorter the series.
const expParts = 32

// exp2Part is 2^(j/32), by the Taylor series of e^x for x < 0.7 up to x^20/20!.
var exp2Part = func() (e [expParts]float64) {
	for j := range e {
		x := float64(float64(j) * (math.Ln2 / expParts))
		sum := 1.0
		for n := 20; n > 0; n-- {
			sum = 1 + float64(sum*x)/float64(n)
		}
		e[j] = sum
	}
	return e
}()

// expNeg is e^x for x <= 0, with a relative error of at most 4e-15: x = (k + j/32) ln 2 + r, the Taylor
// series of e^r for |r| < 0.011 up to r^5/5!, times 2^(j/32) and 2^k.
func expNeg(x float64) float64 {
	if x < expLow {
		return 0
	}
	return expOf(parts(x))
}

// parts are i = 32k + j and r of expNeg. Loops call it and expOf in place of expNeg, for which the compiler
// has a call; below expLow they give some number.
func parts(x float64) (i int64, r float64) {
	n := float64(x*(expParts*math.Log2E)) + magic - magic
	r = x - float64(n*(ln2Hi/expParts))
	return int64(n), r - float64(n*(ln2Lo/expParts))
}

func expOf(i int64, r float64) float64 {
	s := 1.0 / 120
	s = float64(s*r) + 1.0/24
	s = float64(s*r) + 1.0/6
	s = float64(s*r) + 1.0/2
	s = float64(s*r) + 1
	s = float64(s*r) + 1
	return s * exp2Part[i&(expParts-1)] * math.Float64frombits(uint64(1023+i>>5)<<52)
}

// ln is the natural logarithm of a positive normal number, to 3 units in the last place: x = 2^k m with
// m in [√½, √2), and ln m = 2 artanh((m-1)/(m+1)) by its series, whose argument is below 0.172.
func ln(x float64) float64 {
	b := math.Float64bits(x)
	k := int64(b>>52) - 1023
	m := math.Float64frombits(b&(1<<52-1) | 1023<<52)
	if m >= math.Sqrt2 {
		m /= 2
		k++
	}
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	t := 2.0 / 21
	t = float64(t*z) + 2.0/19
	t = float64(t*z) + 2.0/17
	t = float64(t*z) + 2.0/15
	t = float64(t*z) + 2.0/13
	t = float64(t*z) + 2.0/11
	t = float64(t*z) + 2.0/9
	t = float64(t*z) + 2.0/7
	t = float64(t*z) + 2.0/5
	t = float64(t*z) + 2.0/3
	rest := float64(float64(t*z)*s) + float64(float64(k)*ln2Lo)
	return float64(float64(k)*ln2Hi) + (float64(2*s) + rest)
}

// roundBF16 rounds to the nearest value that bfloat16 holds, ties to even.
func roundBF16(f float32) float32 {
	u := math.Float32bits(f)
	if u&0x7f800000 == 0x7f800000 { // infinities and NaN are as they are
		return f
	}
	return math.Float32frombits((u + 0x7fff + u>>16&1) &^ 0xffff)
}
