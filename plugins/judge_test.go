package plugins

import (
	"math"
	"math/rand/v2"
	"testing"
)

// One number that is not finite shows wherever it is, and none of those at the edges does.
func TestFinite(t *testing.T) {
	edges := []float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -1, 0x1p-126}
	bad := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0xffffffff), math.Float32frombits(0x7f800001)}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		f := make([]float32, n)
		for i := range f {
			f[i] = edges[rng.IntN(len(edges))]
		}
		if !finite(f) {
			t.Errorf("%v is finite", f)
		}
		for i := range f {
			old := f[i]
			if f[i] = bad[rng.IntN(len(bad))]; finite(f) {
				t.Errorf("element %d of %v is not finite", i, f)
			}
			f[i] = old
		}
	}
}

func BenchmarkFinite(b *testing.B) {
	f := make([]float32, 6144)
	b.SetBytes(int64(4 * len(f)))
	for b.Loop() {
		if !finite(f) {
			b.Fatal("zeros are finite")
		}
	}
}
