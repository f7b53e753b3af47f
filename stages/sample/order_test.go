package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOrdered(t *testing.T) {
	inf := float32(math.Inf(1))
	up := []float32{-inf, -math.MaxFloat32, -1, -math.SmallestNonzeroFloat32, 0, math.SmallestNonzeroFloat32, 1, 1.0000001, math.MaxFloat32, inf}
	for i, f := range up {
		if got := unordered(ordered(f)); got != f {
			t.Errorf("%v comes back as %v", f, got)
		}
		if i > 0 && ordered(up[i-1]) >= ordered(f) {
			t.Errorf("%v is not below %v", up[i-1], f)
		}
	}
	if ordered(float32(math.Copysign(0, -1))) != ordered(0) {
		t.Error("-0 and 0 differ")
	}
}

func TestSortKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	for _, mask := range []uint32{math.MaxUint32, 0xffff0000, 0x7ff, 0x003ff800, 0} { // digits that all share
		for _, n := range []int{0, 1, 2, 1000} {
			keys := make([]uint32, n)
			for i := range keys {
				keys[i] = rng.Uint32() & mask
			}
			want := slices.Sorted(slices.Values(keys))
			if got := sortKeys(keys, make([]uint32, n)); !slices.Equal(got, want) {
				t.Errorf("%d keys of digits %08x are not sorted", n, mask)
			}
		}
	}
}
