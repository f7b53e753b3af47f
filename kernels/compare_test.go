package kernels

import (
	"math"
	"testing"
)

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		what      string
		got, want []float32
		bound     float64
		ok        bool
		element   int
	}{
		{"same", []float32{1, -2}, []float32{1, -2}, 0, true, -1},
		{"any NaN", []float32{-nan}, []float32{nan}, 0, true, -1},
		{"zeros of two signs", []float32{0, 1}, []float32{float32(math.Copysign(0, -1)), 1}, 0, false, 0},
		{"the same, close", []float32{0, 1}, []float32{float32(math.Copysign(0, -1)), 1}, 1e-6, true, 0},
		{"the worst", []float32{1.5, 3, 8}, []float32{1, 2, 8}, 0.2, true, 1},
		{"too far", []float32{1, 5, 8}, []float32{1, 2, 8}, 0.2, false, 1},
		{"a NaN", []float32{1, nan}, []float32{1, 2}, 1, false, 1},
		{"infinite", []float32{inf, 1}, []float32{8, 1}, 1, false, 0},
		{"infinite both", []float32{inf, 1}, []float32{inf, 1.001}, 0.01, true, 1},
	} {
		d, ok := Compare(c.got, c.want, c.bound)
		if ok != c.ok || d.Element != c.element {
			t.Errorf("%s: %+v, %v, want element %d, %v", c.what, d, ok, c.element, c.ok)
		}
	}
}

// The time grows with the length, also where nothing is as wanted and the largest magnitude is 0: a quarter of a
// million logits, squared, are a minute.
func TestCompareIsLinear(t *testing.T) {
	got, want := make([]float32, 1<<18), make([]float32, 1<<18)
	for i := range got {
		got[i] = 1
	}
	if d, ok := Compare(got, want, 1); ok || d.Element != 0 {
		t.Errorf("%+v, %v: want the first element, out of bounds", d, ok)
	}
}
