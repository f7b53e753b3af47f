package golden

import (
	"math"
	"math/rand/v2"
	"testing"

	"troupe/kernels"
	"troupe/kernels/ref"
)

// The error of int8 activations by the size of their blocks, for activations of 6144 channels: why
// kernels.BlockRows is 128 (docs/numerics.md). Weights that are independent of the activations give a dot
// product the relative error of its activations, so that is what is measured, and compared with products.
func TestActivationBlocks(t *testing.T) {
	const channels, draws = 6144, 32
	gaussian := func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
	}
	outliers := func(r *rand.Rand, x []float32) {
		gaussian(r, x)
		for i := range 6 {
			x[(1000*i+500)%channels] *= 40 // in blocks of their own, whatever the size
		}
	}
	for _, c := range []struct {
		name  string
		make  func(*rand.Rand, []float32)
		block int
		want  float64 // within a tenth
	}{
		{"gaussian", gaussian, 32, 0.0054}, {"gaussian", gaussian, 64, 0.0060}, {"gaussian", gaussian, 128, 0.0065},
		{"gaussian", gaussian, 256, 0.0070}, {"gaussian", gaussian, channels, 0.0090},
		{"outliers", outliers, 32, 0.0103}, {"outliers", outliers, 64, 0.0143}, {"outliers", outliers, 128, 0.0198},
		{"outliers", outliers, 256, 0.0279}, {"outliers", outliers, channels, 0.107},
	} {
		r := rand.New(rand.NewPCG(3, 4))
		x, rounded := make([]float32, channels), make([]float32, channels)
		var diff, size float64
		for range draws {
			c.make(r, x)
			roundBlocks(rounded, x, c.block)
			for i, v := range x {
				diff += math.Pow(float64(rounded[i]-v), 2)
				size += math.Pow(float64(v), 2)
			}
		}
		got := math.Sqrt(diff / size)
		t.Logf("%s, blocks of %d: relative RMS error %.2g", c.name, c.block, got)
		if math.Abs(got/c.want-1) > 0.1 {
			t.Errorf("%s, blocks of %d: relative RMS error %.3g, want %.2g within a tenth", c.name, c.block, got, c.want)
		}
		if c.block != kernels.BlockRows {
			continue
		}
		if product := productError(c.make, channels); math.Abs(product/got-1) > 0.2 {
			t.Errorf("%s: products in int8 have the error %.3g, their activations %.3g", c.name, product, got)
		}
	}
}

// roundBlocks quantises and restores blocks of any size as ref.Quantise does those of at most kernels.BlockRows.
func roundBlocks(rounded, x []float32, block int) {
	for lo := 0; lo < len(x); lo += block {
		top := 0.0
		for _, v := range x[lo : lo+block] {
			top = max(top, math.Abs(float64(v)))
		}
		scale := float32(top / 127)
		for i := lo; i < lo+block; i++ {
			rounded[i] = float32(math.RoundToEven(float64(x[i]/scale))) * scale
		}
	}
}

// productError is the relative RMS error of products by the definition of the arithmetic.
func productError(draw func(*rand.Rand, []float32), in int) float64 {
	const out, draws = 24, 8
	r := rand.New(rand.NewPCG(5, 6))
	x, y := make([]float32, in), make([]float32, out)
	w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: 1, Q: make([]int8, in*out), Scales: make([]float32, out)}
	for i := range w.Scales {
		w.Scales[i] = 0.001
	}
	var diff, size float64
	for range draws {
		draw(r, x)
		want := make([]float64, out)
		for i := range w.Q {
			w.Q[i] = int8(max(-127, min(127, math.RoundToEven(r.NormFloat64()*40))))
			want[i%out] += float64(x[i/out]) * float64(w.Q[i]) * float64(w.Scales[i%out])
		}
		ref.MatVec(y, x, w, kernels.Int8)
		for o := range want {
			diff += math.Pow(float64(y[o])-want[o], 2)
			size += math.Pow(want[o], 2)
		}
	}
	return math.Sqrt(diff / size)
}

// The same rounding as the definition's, where that has the size.
func TestRoundBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	x, rounded := make([]float32, 1024), make([]float32, 1024)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for _, block := range []int{32, 64, kernels.BlockRows} {
		groups := len(x) / block
		q, scales := make([]int8, len(x)), make([]float32, groups)
		ref.Quantise(q, scales, x, groups)
		roundBlocks(rounded, x, block)
		for i, v := range rounded {
			if want := float32(q[i]) * scales[i/block]; math.Abs(float64(v-want)) > 1e-6 {
				t.Fatalf("blocks of %d: value %d is %v, want %v", block, i, v, want)
			}
		}
	}
}
