//go:build cudacpu && cgo

package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/kernels"
	_ "troupe/kernels/ref" // the truth
	"troupe/tensor"
)

// same runs calls by a library and by kernels/ref and compares what they write, bit by bit.
func same(l *library, arith kernels.Arith, calls []kernels.Call, f *kernels.Frame) error {
	v, err := kernels.Find("ref")
	if err != nil {
		return err
	}
	ref, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		return err
	}
	var results [2][][]float32
	for i, lib := range []kernels.Library{ref, l} {
		k, err := lib.Compile(kernels.Segment{Arith: arith, Calls: calls})
		if err != nil {
			return err
		}
		g := *f
		g.Bufs, g.Cache = nil, cloneCache(f.Cache)
		for _, b := range f.Bufs {
			g.Bufs = append(g.Bufs, append([]float32(nil), b...))
		}
		if err := k.Run(&g); err != nil {
			return err
		}
		results[i] = g.Bufs
		if g.Cache != nil {
			for _, l := range g.Cache.Layers {
				results[i] = append(results[i], l.K32, l.V32, widened(l.K16), widened(l.V16))
			}
		}
	}
	for s, want := range results[0] { // behind the slots: the cache
		for i, w := range want {
			if g := results[1][s][i]; math.Float32bits(g) != math.Float32bits(w) {
				return fmt.Errorf("slot %d, element %d: %v, want %v", s, i, g, w)
			}
		}
	}
	return nil
}

func cloneCache(c *kernels.Cache) *kernels.Cache {
	if c == nil {
		return nil
	}
	d := *c
	d.Layers = nil
	for _, l := range c.Layers {
		d.Layers = append(d.Layers, kernels.CacheLayer{
			K32: slices.Clone(l.K32), V32: slices.Clone(l.V32), K16: slices.Clone(l.K16), V16: slices.Clone(l.V16)})
	}
	return &d
}

func widened(v []uint16) []float32 {
	f := make([]float32, len(v))
	for i := range v {
		f[i] = tensor.FromBF16(v[i])
	}
	return f
}

func floats(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// matrix draws a weight of groups scale groups, or a float32 one where there are none.
func matrix(rng *rand.Rand, in, out, groups int, byOutput bool) *kernels.Weight {
	w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: groups, ByOutput: byOutput}
	if groups == 0 {
		w.F = floats(rng, in*out)
		return w
	}
	w.ByOutput = false
	w.Q, w.Scales = make([]int8, in*out), floats(rng, groups*out)
	for i := range w.Q {
		w.Q[i] = int8(rng.IntN(256))
	}
	return w
}

// rowsFrame is a frame of n rows and these widths of slots; the first one is drawn.
func rowsFrame(rng *rand.Rand, n int, widths ...int) *kernels.Frame {
	f := &kernels.Frame{Rows: kernels.Rows{N: n}}
	for i, w := range widths {
		f.Bufs = append(f.Bufs, make([]float32, n*w))
		if i == 0 {
			copy(f.Bufs[0], floats(rng, n*w))
		}
	}
	return f
}

// Every family and width of product on random shapes: odd sizes, scale groups 0 to 8, rows 1 to 33 and past a tile.
func TestProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 150 {
		groups, n := rng.IntN(9), 1+rng.IntN(33)
		in, out := max(groups, 1)*(1+rng.IntN(200)), 1+rng.IntN(150)
		switch i % 10 {
		case 0:
			n = 60 + rng.IntN(10)
		case 1: // more blocks of inputs than are held at a time
			groups, out, n = 600, 1+rng.IntN(20), 1+rng.IntN(9)
			in = groups * (1 + rng.IntN(6))
		case 2:
			groups, in = 0, 512*(1+rng.IntN(3))+rng.IntN(3)
		}
		arith := []kernels.Arith{kernels.Int8, kernels.Exact}[i/len(ways)%2]
		l := ways[i%len(ways)]
		name := fmt.Sprintf("%v %v in=%d out=%d groups=%d rows=%d", l, arith, in, out, groups, n)
		w := matrix(rng, in, out, groups, rng.IntN(2) == 1)
		f := rowsFrame(rng, n, in, out)
		call := kernels.Call{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}
		if i%3 == 0 { // gathered rows, and a multiplier
			call.Op, call.Multiplier = kernels.Head, 0.57735026
			for r := range n {
				if r == 0 || rng.IntN(3) > 0 {
					f.Rows.Draw = append(f.Rows.Draw, int32(r))
				}
			}
		}
		if err := same(l, arith, []kernels.Call{call}, f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Experts gather rows and scatter results.
func TestExperts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 20 {
		l := ways[i%len(ways)]
		arith := []kernels.Arith{kernels.Int8, kernels.Exact}[i/len(ways)%2]
		d, ffn, n, work := 4*(1+rng.IntN(40)), 8*(1+rng.IntN(30)), 1+rng.IntN(9), rng.IntN(20)
		f := rowsFrame(rng, n, d)
		f.Bufs = append(f.Bufs, make([]float32, 2*work*d))
		for _, p := range rng.Perm(2 * work)[:work] {
			f.Work.Row, f.Work.Dst = append(f.Work.Row, int32(rng.IntN(n))), append(f.Work.Dst, int32(p))
		}
		ws := []*kernels.Weight{matrix(rng, d, ffn, 2, false), matrix(rng, d, ffn, 1, false), matrix(rng, ffn, d, 8, false)}
		call := kernels.Call{Op: kernels.Expert, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: ws}
		if work == 0 {
			continue
		}
		if err := same(l, arith, []kernels.Call{call}, f); err != nil {
			t.Errorf("%v %v D=%d F=%d work=%d: %v", l, arith, d, ffn, work, err)
		}
	}
}

// Quantising takes rows from a list, and pads each scale group to whole lines.
func TestQuantise(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 40 {
		groups := 1 + rng.IntN(8)
		in, n := groups*(1+rng.IntN(300)), 1+rng.IntN(6)
		x := floats(rng, n*in)
		x[rng.IntN(len(x))] = []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e-30, -1e30, 0}[i%5]
		if i%7 == 0 {
			for k := range x {
				x[k] *= 0x1p-103
			}
		}
		l := ways[i%len(ways)]
		r := run{library: l}
		lines, blocks := kernels.PanelLines(in, groups), kernels.NumBlocks(in, groups)
		row := make([]int32, n)
		for k := range row {
			row[k] = int32(rng.IntN(n))
		}
		q, scales := r.malloc(n*lines*kernels.LineInputs), r.malloc(4*n*blocks)
		r.any("quantise", upload(&r, x), upload(&r, row), q, scales, n, in, groups)
		if r.err != nil {
			t.Fatal(r.err)
		}
		for k, from := range row {
			want := make([]int8, lines*kernels.LineInputs)
			block := 0
			kernels.Blocks(in, groups, func(g, lo, hi int) {
				at := g*kernels.GroupLines(in, groups)*kernels.LineInputs + lo - g*(in/groups)
				scale := kernels.QuantiseBlock(want[at:at+hi-lo], x[int(from)*in:][lo:hi])
				if got := view[float32](scales, n*blocks)[k*blocks+block]; got != scale && (got == got || scale == scale) {
					t.Errorf("in=%d groups=%d: scale %d of row %d: %v, want %v", in, groups, block, k, got, scale)
				}
				block++
			})
			if got := view[int8](q, n*len(want))[k*len(want):][:len(want)]; !slices.Equal(got, want) {
				t.Errorf("in=%d groups=%d: row %d: %v, want %v", in, groups, k, got, want)
			}
		}
		r.free()
	}
}

// Kernels run on several threads at once, each with shared memory of its own.
func TestManyThreads(t *testing.T) {
	for i := range uint64(4) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(i, 13))
			for range 10 {
				in, out, n := 8*(1+rng.IntN(100)), 1+rng.IntN(60), 1+rng.IntN(9)
				call := kernels.Call{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1},
					Weights: []*kernels.Weight{matrix(rng, in, out, 8, false)}}
				if err := same(ways[rng.IntN(len(ways))], kernels.Int8, []kernels.Call{call}, rowsFrame(rng, n, in, out)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
