package router

import (
	"math"
	"slices"
)

// adjust is the softmax of the row's router logits divided by the temperature, with noise on them:
// p'(e) ∝ p(e)^(1/T) · exp(noise(e)). It is in float64, by exp and log of this package: those of the standard
// library differ in the last place between machines. A probability of 0 stays 0.
func (r *Rule) adjust(probs []float32, at Place, s *scratch) []float32 {
	s.logs, s.probs = resize(s.logs, len(probs)), resize(s.probs, len(probs))
	g := newStream(r.Seed, at)
	first, most := ln(float64(slices.Max(probs))), math.Inf(-1)
	for e, p := range probs {
		if p-p != 0 {
			return probs // not finite: topK says so
		}
		s.logs[e] = ln(float64(p)) - first // so that however low a temperature leaves the largest one at 0
		if r.Temperature > 0 {
			s.logs[e] /= r.Temperature
		}
		if r.Noise > 0 {
			s.logs[e] += float64(r.Noise * g.normal())
		}
		most = max(most, s.logs[e])
	}
	sum := 0.0
	for e, l := range s.logs {
		s.logs[e] = exp(l - most)
		sum += s.logs[e]
	}
	for e, v := range s.logs {
		s.probs[e] = float32(v / sum)
	}
	return s.probs
}

// stream is random numbers for one row: splitmix64 (Steele, Lea and Flood 2014) from a mix of what names the row.
type stream struct {
	state uint64
	spare float64
	has   bool
}

func newStream(seed uint64, at Place) stream {
	s := stream{state: seed}
	s.state = s.next() ^ uint64(at.Layer)
	s.state = s.next() ^ uint64(at.Position)
	s.state = s.next()
	return s
}

func (s *stream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// normal is one of the standard normal distribution, by the polar method (Marsaglia and Bray 1964).
func (s *stream) normal() float64 {
	if s.has {
		s.has = false
		return s.spare
	}
	for {
		u, v := s.signed(), s.signed()
		q := float64(u*u) + float64(v*v)
		if q == 0 || q >= 1 {
			continue
		}
		f := math.Sqrt(-2 * ln(q) / q)
		s.spare, s.has = v*f, true
		return u * f
	}
}

// signed is uniform from -1 up to 1.
func (s *stream) signed() float64 { return float64(int64(s.next())>>11) / (1 << 52) }

const (
	ln2High = 6.93147180369123816490e-01 // ln 2 in two parts: the first has 33 bits, so that its product with an exponent is exact
	ln2Low  = 1.90821492927058770002e-10
)

// ln is the natural logarithm; -Inf of 0. With x = 2^k·m, m from √½ to √2, and z = (m-1)/(m+1), it is
// k·ln 2 + 2(z + z³/3 + z⁵/5 + …). The conversions keep compilers from fusing multiplications and additions.
func ln(x float64) float64 {
	if x == 0 {
		return math.Inf(-1)
	}
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = 2*m, k-1
	}
	z := (m - 1) / (m + 1)
	w := z * z
	sum := 0.0
	for n := 25; n >= 3; n -= 2 {
		sum = float64(sum*w) + 1/float64(n)
	}
	tail := float64(float64(2*z)*float64(w*sum)) + float64(float64(k)*ln2Low)
	return float64(float64(k)*ln2High) + (float64(2*z) + tail)
}

// exp is e to the x, x at most 0: with x = k·ln 2 + r it is 2^k times the Taylor series at r.
func exp(x float64) float64 {
	if x < -745 {
		return 0
	}
	k := math.Floor(x/math.Ln2 + 0.5)
	r := float64(x-float64(k*ln2High)) - float64(k*ln2Low)
	sum := 1.0
	for n := 14; n >= 1; n-- {
		sum = 1 + float64(r*sum)/float64(n)
	}
	return math.Ldexp(sum, int(k))
}
