//go:build cudacpu && cgo

package kernels

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/router"
)

// A norm of more elements than are held at a time.
func TestWideNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, d := range []int{8192, 8193, 20001} {
		for _, l := range ways {
			w := &kernels.Weight{Name: "scale", In: 1, Out: d, F: floats(rng, d)}
			call := kernels.Call{Op: kernels.RMSNorm, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w},
				Params: kernels.Params{Eps: 1e-5}}
			if err := same(l, kernels.Exact, []kernels.Call{call}, rowsFrame(rng, 2, d, d)); err != nil {
				t.Errorf("%v D=%d: %v", l, d, err)
			}
		}
	}
}

// The choice of experts is the router's, ties included.
func TestTopK(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for i := range 60 {
		n, experts := 1+rng.IntN(20), 1+rng.IntN(12)
		k := 1 + rng.IntN(experts)
		probs := make([]float32, n*experts)
		for j := range probs {
			probs[j] = float32(rng.IntN(6)) / 8
		}
		r := run{library: ways[i%len(ways)]}
		chosen, gate := r.malloc(4*n*k), r.malloc(4*n*k)
		r.any("topk", upload(&r, probs), chosen, gate, n, experts, k)
		if r.err != nil {
			t.Fatal(r.err)
		}
		var routing router.Routing
		routing.Reset(experts)
		for row := range n {
			if err := routing.Add(probs[row*experts:][:experts], k); err != nil {
				t.Fatal(err)
			}
		}
		for p, want := range routing.Expert {
			if e, g := view[int32](chosen, n*k)[p], view[float32](gate, n*k)[p]; e != want || g != routing.Gate[p] {
				t.Errorf("rows=%d experts=%d k=%d: pair %d: expert %d, gate %v, want %d, %v", n, experts, k, p, e, g, want, routing.Gate[p])
			}
		}
		r.free()
	}
}

// A row that is not finite has no experts; its neighbours have theirs.
func TestTopKNotFinite(t *testing.T) {
	for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for at := range 3 {
			probs := []float32{0.1, 0.2, 0.3, 0.3, 0.2, 0.1}
			probs[at] = float32(odd)
			r := run{library: ways[0]}
			chosen := r.malloc(4 * 2 * 2)
			r.any("topk", upload(&r, probs), chosen, r.malloc(4*2*2), 2, 3, 2)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if got := view[int32](chosen, 4); got[0] != -1 || got[1] != -1 || got[2] != 0 || got[3] != 1 {
				t.Errorf("%v at %d: %v, want [-1 -1 0 1]", odd, at, got)
			}
			r.free()
		}
	}
}

func TestLaunchRefuses(t *testing.T) {
	one := Grid{1, 1, 1}
	for _, c := range []struct {
		name        string
		grid, block Grid
		params      []any
		want        string
	}{
		{"none", one, one, nil, `kernel "none" unknown`},
		{"add", one, one, []any{1}, "1 parameters, want 4"},
		{"add", one, one, []any{1, 2, 3, float32(4)}, "parameter 3 is a float32"},
		{"add", Grid{0, 1, 1}, one, []any{0, 0, 0, 0}, "an empty grid"},
		{"add", one, Grid{1025, 1, 1}, []any{0, 0, 0, 0}, "more than 1024 threads"},
		{"add", Grid{1, 65536, 1}, one, []any{0, 0, 0, 0}, "a grid larger than"},
	} {
		if err := Launch(c.name, c.grid, c.block, false, c.params...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v %v %v: %v, want %q", c.name, c.grid, c.block, c.params, err, c.want)
		}
	}
}
