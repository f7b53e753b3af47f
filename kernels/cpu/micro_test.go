package cpu

import (
	"fmt"
	"testing"

	"troupe/kernels"
)

func BenchmarkTiers(b *testing.B) {
	for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact} {
		for _, rows := range []int{1, 4, 64, 512} {
			for _, v := range []string{"cpu/generic", "cpu/avx2"} {
				if v == "cpu/generic" && rows > 64 {
					continue
				}
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%v/rows=%d/%s/%d", a, rows, v, threads), func(b *testing.B) {
						in, out := 2048, 8192
						raw := randomWeight(in, out, 1)
						w := *raw
						if v == "cpu/avx2" {
							w.Panels = true
							w.Q = make([]int8, kernels.PanelSize(in, out, 1))
							kernels.PackPanels(w.Q, raw.Q, in, out, 1, 0, kernels.NumPanels(out))
						}
						variant, _ := kernels.Find(v)
						lib, _ := variant.Open(kernels.SameThreads(threads))
						defer lib.Close()
						f := &kernels.Frame{Rows: plainRows(rows), Bufs: [][]float32{randomFloats(rows * in), make([]float32, rows*out)}}
						var ks []kernels.Kernel
						copies := 1
						if rows <= 4 {
							copies = 8
						}
						for range copies {
							c := w
							c.Q = append([]int8(nil), w.Q...)
							k, err := lib.Compile(kernels.Segment{Arith: a, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{&c}}}})
							if err != nil {
								b.Fatal(err)
							}
							ks = append(ks, k)
						}
						i := 0
						b.SetBytes(int64(in * out))
						report(b, in*out*rows, func() { ks[i%copies].Run(f); i++ })
					})
				}
			}
		}
	}
}
