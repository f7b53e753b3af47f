package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/kernels"
)

// measure runs a call with every variant and reports multiply-adds per second. Weights are in a cache;
// "troupe kernels bench" measures with cold ones.
func measure(b *testing.B, threads, macs int, a kernels.Arith, c kernels.Call, f *kernels.Frame) {
	for _, v := range variants() {
		b.Run(v.Name, func(b *testing.B) {
			lib, err := v.Open(kernels.SameThreads(threads))
			if err != nil {
				b.Fatal(err)
			}
			defer lib.Close()
			c := c
			c.Weights = slices.Clone(c.Weights)
			for i, w := range c.Weights {
				if v.Panels && w.Quantised() {
					c.Weights[i] = inPanels(w)
				}
			}
			k, err := lib.Compile(kernels.Segment{Arith: a, Calls: []kernels.Call{c}})
			if err != nil {
				b.Fatal(err)
			}
			k.Run(f)
			b.ReportAllocs()
			for b.Loop() {
				k.Run(f)
			}
			b.ReportMetric(float64(macs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}

func inPanels(w *kernels.Weight) *kernels.Weight {
	p := *w
	p.Panels, p.Q = true, make([]int8, kernels.PanelSize(w.In, w.Out, w.Groups))
	kernels.PackPanels(p.Q, w.Q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
	return &p
}

func randomWeight(in, out, groups int) *kernels.Weight {
	rng := rand.New(rand.NewPCG(1, 2))
	w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: groups, Q: make([]int8, in*out), Scales: randomFloats(groups * out)}
	for i := range w.Q {
		w.Q[i] = int8(rng.Uint32())
	}
	return w
}

func randomFloats(n int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	f := make([]float32, n)
	for i := range f {
		f[i] = float32(rng.NormFloat64())
	}
	return f
}

func plainRows(n int) kernels.Rows {
	r := kernels.Rows{N: n}
	for range n {
		r.Seq, r.Pos, r.Token = append(r.Seq, 0), append(r.Pos, 0), append(r.Token, 0)
		r.First, r.Keyless, r.Prompt = append(r.First, 0), append(r.Keyless, 0), append(r.Prompt, false)
	}
	return r
}

func BenchmarkLinear(b *testing.B) {
	for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
		for _, size := range [][3]int{{192, 384, 1}, {2048, 8192, 1}, {8192, 2048, 8}} {
			for _, rows := range []int{1, 4, 64} {
				for _, threads := range []int{1, 2} {
					in, out := size[0], size[1]
					name := fmt.Sprintf("%v/%dx%d/groups=%d/rows=%d/threads=%d", a, in, out, size[2], rows, threads)
					b.Run(name, func(b *testing.B) {
						w := randomWeight(in, out, size[2])
						f := &kernels.Frame{Rows: plainRows(rows), Bufs: [][]float32{randomFloats(rows * in), make([]float32, rows*out)}}
						measure(b, threads, in*out*rows, a, kernels.Call{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}, f)
					})
				}
			}
		}
	}
}

func BenchmarkHead(b *testing.B) {
	for _, a := range []kernels.Arith{kernels.Exact, kernels.Reference} {
		for _, rows := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%v/rows=%d", a, rows), func(b *testing.B) {
				const in, out = 1024, 8192
				w := &kernels.Weight{Name: "w", In: in, Out: out, ByOutput: true, F: randomFloats(in * out)}
				f := &kernels.Frame{Rows: plainRows(rows), Bufs: [][]float32{randomFloats(rows * in), make([]float32, rows*out)}}
				for r := range rows {
					f.Rows.Draw = append(f.Rows.Draw, int32(r))
				}
				measure(b, 1, in*out*rows, a, kernels.Call{Op: kernels.Head, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}, f)
			})
		}
	}
}

func BenchmarkAttend(b *testing.B) {
	for _, half := range []bool{false, true} {
		for _, keys := range []int{128, 2048} {
			for _, rows := range []int{1, 16} {
				b.Run(fmt.Sprintf("half=%v/keys=%d/rows=%d", half, keys, rows), func(b *testing.B) {
					const heads, kv, size = 48, 8, 128
					f := &kernels.Frame{Rows: plainRows(rows)}
					blocks := keys / kernels.BlockTokens
					cache := &kernels.Cache{KVHeads: kv, KeySize: size, Blocks: blocks, Half: half, Layers: make([]kernels.CacheLayer, 1)}
					n := blocks * cache.BlockSize()
					if half {
						cache.Layers[0] = kernels.CacheLayer{K16: make([]uint16, n), V16: make([]uint16, n)}
					} else {
						cache.Layers[0] = kernels.CacheLayer{K32: randomFloats(n), V32: randomFloats(n)}
					}
					var table []int32
					for i := range blocks {
						table = append(table, int32(i))
					}
					f.Cache, f.Rows.Tables, f.Rows.Skip = cache, [][]int32{table}, [][]int32{nil}
					for r := range rows {
						f.Rows.Pos[r] = int32(keys - rows + r)
					}
					f.Bufs = [][]float32{randomFloats(rows * heads * size), randomFloats(rows * kv * size), randomFloats(rows * kv * size), make([]float32, rows*heads*size)}
					measure(b, 1, 2*heads*size*keys*rows, kernels.Int8, kernels.Call{Op: kernels.Attend, In: []kernels.Slot{0, 1, 2}, Out: []kernels.Slot{3},
						Params: kernels.Params{Multiplier: 0.08838834764, Cap: 30, Heads: heads, KVHeads: kv, KeySize: size}}, f)
				})
			}
		}
	}
}

func BenchmarkVectors(b *testing.B) {
	const d = 6144
	one := kernels.Params{Eps: 1e-5, Multiplier: 1, Heads: 48, KVHeads: 8, KeySize: 128, Rope: kernels.NewRope(10000, 128, 16)}
	norm := &kernels.Weight{Name: "scale", In: 1, Out: d, F: randomFloats(d)}
	for _, c := range []kernels.Call{
		{Op: kernels.RMSNorm, In: []kernels.Slot{0}, Out: []kernels.Slot{2}, Weights: []*kernels.Weight{norm}},
		{Op: kernels.RoPE, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2, 3}},
		{Op: kernels.Add, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2}},
		{Op: kernels.Combine, In: []kernels.Slot{4}, Out: []kernels.Slot{2}},
	} {
		b.Run(c.Op.String(), func(b *testing.B) {
			c.Params = one
			f := &kernels.Frame{Rows: plainRows(1), Pairs: kernels.Pairs{Start: []int32{0, 2}, Gate: []float32{0.6, 0.3}}}
			f.Bufs = [][]float32{randomFloats(d), randomFloats(d), make([]float32, d), make([]float32, d), randomFloats(2 * d)}
			measure(b, 1, d, kernels.Int8, c, f)
		})
	}
}

func BenchmarkExpert(b *testing.B) {
	for _, rows := range []int{1, 16} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			const d, ff = 1024, 4096
			gate, up, down := randomWeight(d, ff, 1), randomWeight(d, ff, 1), randomWeight(ff, d, 8)
			f := &kernels.Frame{Rows: plainRows(rows), Bufs: [][]float32{randomFloats(rows * d), make([]float32, rows*d)}}
			for r := range rows {
				f.Work.Row, f.Work.Dst = append(f.Work.Row, int32(r)), append(f.Work.Dst, int32(r))
			}
			measure(b, 1, 3*d*ff*rows, kernels.Int8, kernels.Call{Op: kernels.Expert, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{gate, up, down}}, f)
		})
	}
}
