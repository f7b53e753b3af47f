package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Every weight is found where At says, padding is zero, and unpacking gives the matrix back.
func TestPanels(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{1, 1, 1}, {4, 16, 1}, {5, 17, 1}, {342 * 8, 33, 8}, {128, 64, 2}, {260, 15, 4}, {7, 48, 7}, {12, 16*19 + 3, 2}, {9, 16 * 40, 1}} {
		in, out, groups := size[0], size[1], size[2]
		q := make([]int8, in*out)
		for i := range q {
			q[i] = int8(rng.Uint32())
		}
		raw := &Weight{Name: "raw", In: in, Out: out, Groups: groups, Q: q, Scales: make([]float32, groups*out)}
		packed := &Weight{Name: "packed", In: in, Out: out, Groups: groups, Panels: true, Scales: raw.Scales,
			Q: slices.Repeat([]int8{99}, PanelSize(in, out, groups))}
		for p := range NumPanels(out) { // one at a time, as several threads do
			PackPanels(packed.Panel(p), q, in, out, groups, p, p+1)
		}
		if err := packed.Check(); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, v := range packed.Q {
			sum += int(v)
		}
		for k := range in {
			for o := range out {
				if packed.At(k, o) != raw.At(k, o) {
					t.Fatalf("%v: input %d output %d: %d, want %d", size, k, o, packed.At(k, o), raw.At(k, o))
				}
				sum -= int(raw.At(k, o))
			}
		}
		if sum != 0 {
			t.Errorf("%v: padding is not zero", size)
		}
		back := make([]int8, in*out)
		per, lines := in/groups, GroupLines(in, groups)
		for p := range NumPanels(out) {
			for g := range groups {
				UnpackBlock(back[g*per*out+p*PanelOutputs:], packed.Panel(p)[g*lines*LineBytes:], out, per, min(PanelOutputs, out-p*PanelOutputs))
			}
		}
		if !slices.Equal(back, q) {
			t.Errorf("%v: unpacked is not what was packed", size)
		}
	}
}

func BenchmarkPackPanels(b *testing.B) {
	const in, out = 2048, 8192
	src, dst := make([]int8, in*out), make([]int8, PanelSize(in, out, 1))
	for i := range src { // pages that were never written are all one page
		src[i] = int8(i)
	}
	b.SetBytes(in * out)
	for b.Loop() {
		PackPanels(dst, src, in, out, 1, 0, NumPanels(out))
	}
}

func BenchmarkUnpackBlock(b *testing.B) {
	const in, out = 2048, 64
	src, dst := make([]int8, PanelSize(in, out, 1)), make([]int8, in*out)
	b.SetBytes(in * out)
	for b.Loop() {
		for p := range NumPanels(out) {
			UnpackBlock(dst[p*PanelOutputs:], src[p*in*PanelOutputs:], out, in, PanelOutputs)
		}
	}
}
