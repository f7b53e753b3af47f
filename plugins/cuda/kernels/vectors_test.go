//go:build cudacpu && cgo

package kernels

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/kernels/ref"
	"troupe/router"
	"troupe/tensor"
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
			if err := routing.Add(probs[row*experts:][:experts], &router.Rule{Count: k}, router.Place{}); err != nil {
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

// oddities are what elementary functions treat apart, and their neighbours.
var oddities = []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0x1p-149, -0x1p-130,
	math.MaxFloat32, -math.MaxFloat32, 0.625, -0.62499994, 10, -10.000001, 88.37, -87.33, -87.34, 1.00390625, 1.01171875, 1.0039062, 1.0039064}

// Exp, through the softmax, and gelu over their whole range.
func TestElementary(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	const n = 20000
	x, up := make([]float32, 2*n), floats(rng, n)
	for i := range n {
		x[2*i] = float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(5)-2)))
		x[2*i+1] = x[2*i] - float32(rng.Float64()*100)
	}
	for i, v := range oddities {
		x[2*i], x[2*i+1] = v, -v
	}
	r := run{library: ways[0]}
	defer r.free()
	p, y := upload(&r, x), r.malloc(8*n)
	r.any("softmax", p, y, n, 2)
	gate := x[:n]
	g := upload(&r, up)
	r.any("gelu_up", p, g, g, n)
	if r.err != nil {
		t.Fatal(r.err)
	}
	for i := range n {
		a, b := x[2*i], x[2*i+1]
		top := a
		if b > top {
			top = b
		}
		a, b = ref.Exp(a-top), ref.Exp(b-top)
		for j, want := range []float32{a / (a + b), b / (a + b)} {
			if got := view[float32](y, 2*n)[2*i+j]; !alike(got, want) {
				t.Errorf("softmax of %v: %v, want %v", x[2*i:2*i+2], got, want)
			}
		}
		if got, want := view[float32](g, n)[i], ref.Gelu(gate[i])*up[i]; !alike(got, want) {
			t.Errorf("gelu(%v) * %v: %v, want %v", gate[i], up[i], got, want)
		}
	}
}

func alike(got, want float32) bool {
	return math.Float32bits(got) == math.Float32bits(want) || got != got && want != want
}

// Keys and values are rounded to bfloat16 as everywhere, ties to even.
func TestStoreRounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	const size = 4096
	k := floats(rng, size)
	copy(k, oddities)
	for i := len(oddities); i < size; i += 2 {
		k[i] = math.Float32frombits(math.Float32bits(k[i])&^0xffff | 0x8000) // a tie
	}
	k[size-1] = math.Float32frombits(0x7f800001) // a NaN whose upper half alone would be infinite
	r := run{library: ways[0]}
	defer r.free()
	zero, in := upload(&r, []int32{0}), upload(&r, k)
	keys, values := r.malloc(2*size*kernels.BlockTokens), r.malloc(2*size*kernels.BlockTokens)
	r.plane("store_bf16", in, in, zero, zero, zero, keys, values, 1, 1, size, 1)
	if r.err != nil {
		t.Fatal(r.err)
	}
	for i, v := range k {
		want := tensor.ToBF16(v)
		a, b := view[uint16](keys, size*kernels.BlockTokens)[i*kernels.BlockTokens], view[uint16](values, size)[i]
		if a != want || b != want {
			t.Errorf("%v (%#08x): key %#04x, value %#04x, want %#04x", v, math.Float32bits(v), a, b, want)
		}
	}
}
