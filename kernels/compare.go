package kernels

import "math"

// Bound is the largest error that a library with the promise Close may have, relative to the largest
// magnitude of the same output: float32 sums in another order; one activation rounded to the other of
// two int8 values; one or two bfloat16 roundings the other way.
var Bound = [...]float64{Exact: 1e-4, Int8: 1e-2, Reference: 1.6e-2}

// Difference is where two outputs are furthest apart.
type Difference struct {
	Element   int // -1: nowhere
	Got, Want float32
	Relative  float64 // to the largest finite magnitude of what is wanted; infinite where one is not finite and the other differs
}

// Compare holds an output against what it should be; they have equal lengths. A bound of 0 asks for equal bits,
// except that any NaN equals any other. ok tells that the difference, whatever it is, is within the bound.
func Compare(got, want []float32, bound float64) (d Difference, ok bool) {
	d, ok = Difference{Element: -1}, true
	largest := -1.0 // not looked for yet
	for i, g := range got {
		w := want[i]
		if math.Float32bits(g) == math.Float32bits(w) || g != g && w != w {
			continue
		}
		if largest < 0 {
			largest = magnitude(want)
		}
		r := relative(g, w, largest)
		if d.Element < 0 || r > d.Relative {
			d = Difference{i, g, w, r}
		}
		ok = ok && bound > 0 && r <= bound
	}
	return d, ok
}

func relative(got, want float32, largest float64) float64 {
	distance := math.Abs(float64(got) - float64(want))
	if math.IsNaN(distance) || math.IsInf(distance, 0) {
		return math.Inf(1)
	}
	if distance == 0 { // zeros of different signs
		return 0
	}
	return distance / largest
}

// magnitude is the largest finite one.
func magnitude(v []float32) float64 {
	largest := 0.0
	for _, x := range v {
		if a := math.Abs(float64(x)); a > largest && !math.IsInf(a, 0) {
			largest = a
		}
	}
	return largest
}
