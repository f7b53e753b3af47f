package cpu

import (
	"testing"
	"unsafe"
)

func BenchmarkMicro(b *testing.B) {
	for _, k := range []struct {
		n string
		r int
		f func(*byte)
	}{{"1", 1, int8Rows1AVX2}, {"2", 2, int8Rows2AVX2}, {"4", 4, int8Rows4AVX2}, {"8", 8, int8Rows8AVX2}} {
		for _, cold := range []bool{false, true} {
			name := k.n
			if cold {
				name += "cold"
			}
			b.Run(name, func(b *testing.B) {
				const lines = 512 // 2048 inputs
				copies := 1
				if cold {
					copies = 300 << 20 / (lines * 64)
				}
				w := make([]int8, copies*lines*64)
				for i := range w {
					w[i] = int8(i * 7)
				}
				x := make([]int8, lines*4*k.r)
				xs := make([]float32, 16*k.r)
				y := make([]float32, 16)
				sc := make([]float32, 16)
				var a int8Args
				b.SetBytes(lines * 64)
				i := 0
				for b.Loop() {
					a.w, a.x, a.xScales, a.lines, a.scale = &w[i*lines*64], &x[0], &xs[0], lines, &sc[0]
					for r := range k.r {
						a.y[r] = &y[0]
					}
					k.f((*byte)(unsafe.Pointer(&a)))
					i++
					if i == copies {
						i = 0
					}
				}
				b.ReportMetric(float64(lines*64*k.r)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}
