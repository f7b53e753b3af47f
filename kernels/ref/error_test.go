package ref

import (
	"math"
	"math/rand/v2"
	"testing"

	"troupe/kernels"
)

// What each arithmetic says of itself (kernels.Arith, docs/numerics.md): the relative RMS error of one
// matrix product with Gaussian activations and weights, against float64 on the unrounded numbers.
func TestArithmeticErrors(t *testing.T) {
	const in, out = 6144, 48
	r := rand.New(rand.NewPCG(1, 2))
	w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: 8, Q: make([]int8, in*out), Scales: make([]float32, 8*out)}
	for i := range w.Q {
		w.Q[i] = int8(max(-127, min(127, math.RoundToEven(r.NormFloat64()*40))))
	}
	for i := range w.Scales {
		w.Scales[i] = tensorScale(r.Float64())
	}
	x := make([]float32, in)
	want := make([]float64, out)
	for k := range x {
		x[k] = float32(r.NormFloat64())
		for o := range want {
			want[o] += float64(x[k]) * float64(w.Q[k*out+o]) * float64(w.Scales[k/(in/8)*out+o])
		}
	}
	for a, bound := range map[kernels.Arith]float64{kernels.Exact: 1e-6, kernels.Int8: 8e-3, kernels.Reference: 3e-3} {
		y := make([]float32, out)
		MatVec(y, x, w, a)
		var diff, size float64
		for o := range want {
			diff += math.Pow(float64(y[o])-want[o], 2)
			size += math.Pow(want[o], 2)
		}
		rms := math.Sqrt(diff / size)
		t.Logf("%v: relative RMS error %.2g", a, rms)
		if !(rms <= bound) {
			t.Errorf("%v: relative RMS error %.3g, want at most %.1g", a, rms, bound)
		}
	}
}

// tensorScale is a scale between 0.001 and 0.002 that bfloat16 holds, as checkpoints have them.
func tensorScale(u float64) float32 {
	return math.Float32frombits(math.Float32bits(float32(0.001+0.001*u)) &^ 0xffff)
}
