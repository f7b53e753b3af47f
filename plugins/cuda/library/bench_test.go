//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"fmt"
	"strings"
	"testing"

	"troupe/kernels"
)

// The benchmarks time kernels between two events on the GPU, without copies of inputs and outputs, with shapes of
// Grok-1, and report the bytes that have to be read: per second, and as a share of what the GPU's memory delivers.
// On the fake driver the shapes are small and the figures say nothing.

// timed runs a kernel's calls and reports.
func timed(b *testing.B, l *Library, k *kernel, f *kernels.Frame, bytes int, macs float64) {
	b.Helper()
	if err := k.Run(f); err != nil { // everything is on the GPU
		b.Fatal(err)
	}
	if err := l.dev.Enter(); err != nil {
		b.Fatal(err)
	}
	defer l.dev.Leave()
	start, err := l.dev.NewEvent(true)
	if err != nil {
		b.Fatal(err)
	}
	end, err := l.dev.NewEvent(true)
	if err != nil {
		b.Fatal(err)
	}
	defer start.Close()
	defer end.Close()
	l.frame.in = f
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	check(l.stream.Record(start))
	for range b.N {
		for _, s := range k.steps {
			check(s.run(&l.frame))
		}
	}
	check(l.stream.Record(end))
	check(end.Wait())
	b.StopTimer()
	ms, err := end.Since(start)
	check(err)
	seconds := ms / 1000 / float64(b.N)
	b.ReportMetric(seconds*1e6, "µs/call")
	b.ReportMetric(float64(bytes)/seconds/1e9, "GB/s")
	if peak := l.dev.Info.Bandwidth; peak > 0 {
		b.ReportMetric(100*float64(bytes)/seconds/float64(peak), "%bandwidth")
	}
	if macs > 0 {
		b.ReportMetric(macs/seconds/1e12, "TMAC/s")
	}
}

func scale(l *Library, n int) int {
	if strings.HasPrefix(l.dev.Info.Name, "Fake GPU") {
		return max(n/64, 16)
	}
	return n
}

func BenchmarkLinear(b *testing.B) {
	l := open(b)
	in, out := scale(l, 6144), scale(l, 32768)
	for _, arith := range []kernels.Arith{kernels.Int8, kernels.Exact} {
		for _, rows := range []int{1, 2, 4, 8, 16, 64, 512} {
			b.Run(fmt.Sprintf("%v/rows=%d", arith, rows), func(b *testing.B) {
				w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: 1, Panels: true, Q: make([]int8, kernels.PanelSize(in, out, 1)), Scales: make([]float32, out)}
				for i := range w.Q {
					w.Q[i] = int8(i * 37)
				}
				linearBench(b, l, arith, w, rows, len(w.Q)+4*len(w.Scales))
			})
		}
	}
}

func BenchmarkHeadFloat(b *testing.B) {
	l := open(b)
	in, out := scale(l, 6144), scale(l, 131072)
	for _, rows := range []int{1, 8} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			w := &kernels.Weight{Name: "embedding", In: in, Out: out, ByOutput: true, F: make([]float32, in*out)}
			linearBench(b, l, kernels.Exact, w, rows, 4*len(w.F))
		})
	}
}

func linearBench(b *testing.B, l *Library, arith kernels.Arith, w *kernels.Weight, rows, bytes int) {
	s := kernels.Segment{Arith: arith, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}}
	k, err := l.Compile(s)
	if err != nil {
		b.Fatal(err)
	}
	defer closed(b, k.(*kernel))
	f := &kernels.Frame{Rows: kernels.Rows{N: rows}, Bufs: [][]float32{make([]float32, rows*w.In), make([]float32, rows*w.Out)}}
	for i := range f.Bufs[0] {
		f.Bufs[0][i] = float32(i%17) - 8
	}
	timed(b, l, k.(*kernel), f, bytes, float64(rows)*float64(w.In)*float64(w.Out))
}

func BenchmarkAttend(b *testing.B) {
	l := open(b)
	const heads, kvHeads, keySize = 48, 8, 128
	for _, keys := range []int{1024, 8192} {
		for _, rows := range []int{1, 8} { // of a sequence each
			b.Run(fmt.Sprintf("keys=%d/rows=%d", keys, rows), func(b *testing.B) {
				keys := scale(l, keys)
				blocks := ceilDiv(keys, kernels.BlockTokens)
				c := &kernels.Cache{KVHeads: kvHeads, KeySize: keySize, Blocks: rows * blocks, Half: true, Layers: make([]kernels.CacheLayer, 1)}
				n := c.Blocks * c.BlockSize()
				c.Layers[0] = kernels.CacheLayer{K16: make([]uint16, n), V16: make([]uint16, n)}
				f := &kernels.Frame{Cache: c, Bufs: [][]float32{make([]float32, rows*heads*keySize), make([]float32, rows*kvHeads*keySize),
					make([]float32, rows*kvHeads*keySize), make([]float32, rows*heads*keySize)}}
				r := &f.Rows
				for i := range rows {
					r.Pos, r.Seq, r.First, r.Keyless, r.Prompt = append(r.Pos, int32(keys-1)), append(r.Seq, int32(i)), append(r.First, 0), append(r.Keyless, 0), append(r.Prompt, false)
					var table []int32
					for j := range blocks {
						table = append(table, int32(j*rows+i))
					}
					r.Tables, r.Skip = append(r.Tables, table), append(r.Skip, nil)
					r.N++
				}
				k, err := l.Compile(kernels.Segment{Arith: kernels.Int8, Calls: []kernels.Call{{Op: kernels.Attend, In: []kernels.Slot{0, 1, 2}, Out: []kernels.Slot{3},
					Params: kernels.Params{Multiplier: 0.08838835, Cap: 30, Heads: heads, KVHeads: kvHeads, KeySize: keySize}}}})
				if err != nil {
					b.Fatal(err)
				}
				defer closed(b, k.(*kernel))
				timed(b, l, k.(*kernel), f, rows*keys*kvHeads*keySize*2*2, 0)
			})
		}
	}
}

// BenchmarkRun is a whole run of a short segment: two copies, the launches, the wait.
func BenchmarkRun(b *testing.B) {
	l := open(b)
	width := scale(l, 6144)
	k, err := l.Compile(kernels.Segment{Arith: kernels.Exact, Calls: []kernels.Call{{Op: kernels.Add, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2}}}})
	if err != nil {
		b.Fatal(err)
	}
	f := &kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{make([]float32, width), make([]float32, width), make([]float32, width)}}
	for b.Loop() {
		if err := k.Run(f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpload is how fast weights arrive, as panels and from rows that are packed on the way.
func BenchmarkUpload(b *testing.B) {
	l := open(b)
	in, out := scale(l, 6144), scale(l, 32768)
	for _, panels := range []bool{true, false} {
		b.Run(fmt.Sprintf("panels=%v", panels), func(b *testing.B) {
			w := &kernels.Weight{Name: "w", In: in, Out: out, Groups: 1, Panels: panels, Q: make([]int8, in*out), Scales: make([]float32, out)}
			b.SetBytes(int64(len(w.Q)))
			for b.Loop() {
				k, err := l.Compile(kernels.Segment{Arith: kernels.Int8, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}})
				if err != nil {
					b.Fatal(err)
				}
				closed(b, k.(*kernel))
			}
		})
	}
}
