package ref

import (
	"math"
	"testing"
)

// The stated errors of the elementary functions, against float64.
func TestMathErrors(t *testing.T) {
	relative := func(got float32, want float64) float64 { return math.Abs(float64(got)-want) / math.Abs(want) }
	for i := -87300; i < 88300; i++ {
		x := float32(i) / 1000
		if e := relative(Exp(x), math.Exp(float64(x))); e > 2e-7 {
			t.Fatalf("Exp(%v): relative error %.3g, want at most 2e-7", x, e)
		}
	}
	for i := -12000; i < 12000; i++ {
		x := (float32(i) + 0.5) / 1000
		if e := relative(Tanh(x), math.Tanh(float64(x))); e > 3e-7 {
			t.Fatalf("Tanh(%v): relative error %.3g, want at most 3e-7", x, e)
		}
		exact := float64(x) * 0.5 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(float64(x)+0.044715*math.Pow(float64(x), 3))))
		if e := math.Abs(float64(Gelu(x)) - exact); e > 3e-7*math.Max(1, math.Abs(exact)) {
			t.Fatalf("Gelu(%v) = %v, want %v", x, Gelu(x), exact)
		}
	}
	nan := float32(math.NaN())
	if Exp(nan) == Exp(nan) || Tanh(nan) == Tanh(nan) {
		t.Error("NaN must stay NaN")
	}
	if v := Exp(1000); !math.IsInf(float64(v), 1) || Exp(-1000) != 0 || Tanh(1e30) != 1 || Tanh(-1e30) != -1 {
		t.Error("limits")
	}
}
