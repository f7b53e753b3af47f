package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Groups are equal, as few as blocks allow, and never so small that scales outweigh the saving.
func TestHeadGroups(t *testing.T) {
	for in, want := range map[int]int{1: 1, 24: 1, 128: 1, 129: 3, 131: 0, 192: 2, 1024: 8, 6144: 48, 130: 2, 254: 2, 257: 0} {
		if got := HeadGroups(in); got != want {
			t.Errorf("%d inputs: %d groups, want %d", in, got, want)
		}
	}
	for in := 1; in < 2000; in++ {
		if g := HeadGroups(in); g != 0 && (in%g != 0 || in/g > BlockRows) {
			t.Errorf("%d inputs in %d groups", in, g)
		}
	}
}

// Every weight of the head is within half a step of its group's scale, and the largest is exact.
func TestQuantiseHead(t *testing.T) {
	const in, out = 192, 37
	rng := rand.New(rand.NewPCG(1, 2))
	w := &Weight{Name: "embedding", In: in, Out: out, ByOutput: true, F: make([]float32, in*out)}
	for i := range w.F {
		w.F[i] = float32(rng.NormFloat64())
	}
	clear(w.F[:in])                       // an output of zeros
	w.F[in+5] = float32(math.NaN())       // spoils its group
	w.F[2*in+100] = float32(math.Inf(-1)) // and so does an infinity
	panels, scales := HeadBytes(in, out)
	h := QuantiseHead(w, make([]int8, panels), make([]float32, scales/4))
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	per := in / h.Groups
	for o := range out {
		for k := range in {
			v, s := float64(w.F[o*in+k]), float64(h.Scales[k/per*out+o])
			if spoilt := o == 1 && k/per == 0 || o == 2 && k/per == 1; spoilt != math.IsNaN(s) {
				t.Fatalf("output %d, group %d: scale %v", o, k/per, s)
			} else if spoilt {
				continue
			}
			if got := float64(h.At(k, o)) * s; math.Abs(got-v) > 0.5001*s {
				t.Fatalf("output %d, input %d: %v as %v, more than half a step of %v off", o, k, v, got, s)
			}
		}
	}
}
