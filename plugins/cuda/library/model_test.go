//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/kernels"
	"troupe/kernels/ref"
)

// half is a small half of a layer: products, rotation and attention, so that a run has inputs, intermediate results,
// weights of both kinds and a cache.
type half struct {
	segment kernels.Segment
	rng     *rand.Rand
	cache   *kernels.Cache
}

// Slots and sizes of half.
const (
	hidden = iota
	query
	key
	value
	queryRot
	keyRot
	mix
	numSlots

	width, heads, kvHeads, keySize, positions = 48, 4, 2, 16, 400
)

func newHalf(seed uint64, arith kernels.Arith, layers, blocks int, bf16 bool) *half {
	h := &half{rng: rand.New(rand.NewPCG(seed, 7))}
	h.segment = kernels.Segment{Arith: arith, Calls: []kernels.Call{
		{Op: kernels.Linear, In: []kernels.Slot{hidden}, Out: []kernels.Slot{query, key, value}, Weights: []*kernels.Weight{
			h.int8("query", heads*keySize), h.int8("key", kvHeads*keySize), h.float("value", kvHeads*keySize)}},
		{Op: kernels.RoPE, In: []kernels.Slot{query, key}, Out: []kernels.Slot{queryRot, keyRot},
			Params: kernels.Params{Heads: heads, KVHeads: kvHeads, KeySize: keySize, Rope: kernels.NewRope(10000, keySize, positions)}},
		{Op: kernels.Attend, Layer: layers - 1, In: []kernels.Slot{queryRot, keyRot, value}, Out: []kernels.Slot{mix},
			Params: kernels.Params{Multiplier: 0.2, Cap: 30, Heads: heads, KVHeads: kvHeads, KeySize: keySize}},
	}}
	h.cache = &kernels.Cache{KVHeads: kvHeads, KeySize: keySize, Blocks: blocks, Half: bf16, Layers: make([]kernels.CacheLayer, layers)}
	n := blocks * h.cache.BlockSize()
	for i := range h.cache.Layers {
		l := &h.cache.Layers[i]
		if bf16 {
			l.K16, l.V16 = make([]uint16, n), make([]uint16, n)
		} else {
			l.K32, l.V32 = make([]float32, n), make([]float32, n)
		}
	}
	return h
}

func (h *half) int8(name string, out int) *kernels.Weight {
	w := &kernels.Weight{Name: name, In: width, Out: out, Groups: 2, Q: make([]int8, width*out), Scales: make([]float32, 2*out)}
	for i := range w.Q {
		w.Q[i] = int8(h.rng.IntN(255) - 127)
	}
	for i := range w.Scales {
		w.Scales[i] = 0.002 * h.rng.Float32()
	}
	return w
}

func (h *half) float(name string, out int) *kernels.Weight {
	w := &kernels.Weight{Name: name, In: width, Out: out, F: make([]float32, width*out)}
	h.fill(w.F)
	return w
}

func (h *half) fill(x []float32) {
	for i := range x {
		x[i] = float32(h.rng.NormFloat64())
	}
}

// sequence is one with its blocks of the cache and the positions that it has.
type sequence struct {
	table []int32
	len   int
}

// frame has n more rows of each of the sequences.
func (h *half) frame(n int, all ...*sequence) *kernels.Frame {
	f := &kernels.Frame{Cache: h.cache, Bufs: make([][]float32, numSlots)}
	r := &f.Rows
	for s, seq := range all {
		for i := range n {
			r.Pos, r.Seq, r.Token = append(r.Pos, int32(seq.len+i)), append(r.Seq, int32(s)), append(r.Token, 0)
			r.First, r.Keyless, r.Prompt = append(r.First, 0), append(r.Keyless, 0), append(r.Prompt, n > 1)
			r.N++
		}
		r.Tables, r.Skip = append(r.Tables, seq.table), append(r.Skip, nil)
	}
	for slot, w := range []int{width, heads * keySize, kvHeads * keySize, kvHeads * keySize, heads * keySize, kvHeads * keySize, heads * keySize} {
		f.Bufs[slot] = make([]float32, r.N*w)
		h.fill(f.Bufs[slot])
	}
	return f
}

// clone copies what a run may write; the cache is copied too.
func clone(f *kernels.Frame) *kernels.Frame {
	c := *f
	c.Bufs = nil
	for _, b := range f.Bufs {
		c.Bufs = append(c.Bufs, slices.Clone(b))
	}
	cache := *f.Cache
	cache.Layers = nil
	for _, l := range f.Cache.Layers {
		cache.Layers = append(cache.Layers, kernels.CacheLayer{
			K32: slices.Clone(l.K32), V32: slices.Clone(l.V32), K16: slices.Clone(l.K16), V16: slices.Clone(l.V16)})
	}
	c.Cache = &cache
	return &c
}

// differ says where two frames, their caches included, have not the same bits.
func differ(got, want *kernels.Frame) error {
	for slot := range want.Bufs {
		if d, equal := kernels.Compare(got.Bufs[slot], want.Bufs[slot], 0); !equal {
			return fmt.Errorf("slot %d: %+v", slot, d)
		}
	}
	for i, w := range want.Cache.Layers {
		g := got.Cache.Layers[i]
		if !slices.Equal(g.K32, w.K32) || !slices.Equal(g.V32, w.V32) || !slices.Equal(g.K16, w.K16) || !slices.Equal(g.V16, w.V16) {
			return fmt.Errorf("cache of layer %d", i)
		}
	}
	return nil
}

// truth has kernels/ref run a frame.
func (h *half) truth(t testing.TB, f *kernels.Frame) {
	t.Helper()
	v, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	k, err := lib.Compile(h.segment)
	if err == nil {
		err = k.Run(f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The cache's layout here is that of kernels/ref.
func TestStore(t *testing.T) {
	for _, bf16 := range []bool{false, true} {
		h := newHalf(1, kernels.Exact, 2, 5, bf16)
		f := h.frame(20, &sequence{table: []int32{3, 0, 4}, len: 11})
		g := clone(f)
		for r := range f.Rows.N {
			ref.StoreKV(f.Cache, 1, &f.Rows, r, f.Bufs[keyRot], f.Bufs[value])
			store(g.Cache, &h.segment.Calls[2], &g.Rows, r, g.Bufs[keyRot], g.Bufs[value])
		}
		if err := differ(g, f); err != nil {
			t.Errorf("bf16 %v: %v", bf16, err)
		}
	}
}
