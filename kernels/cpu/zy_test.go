package cpu

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

func TestZY(t *testing.T) {
	if os.Getenv("B") == "" {
		return
	}
	runtime.LockOSThread()
	bench := func(name string, macs int, f func()) {
		best := 1e9
		for range 10 {
			t0 := cpuNow()
			n := 0
			for cpuNow()-t0 < 0.02 {
				for range 10 {
					f()
				}
				n += 10
			}
			best = min(best, (cpuNow()-t0)/float64(n))
		}
		fmt.Printf("%-20s %.2f GMAC/s\n", name, float64(macs)/best/1e9)
	}
	for _, cols := range []int{128, 256, 384, 512, 1024} {
		acc := make([]uint64, 4*cols)
		tile := randomWeight(4, cols, 1).Q
		x := [4]uint64{1 << 42, 2 << 21, 3, 77}
		bench(fmt.Sprint("addFour ", cols), 4*cols*12, func() {
			for i := range 4 {
				addFour(acc[i*cols:][:cols], tile, &x)
			}
		})
		q := &quantRows{}
		q.resize(12, 64, 1)
		for _, stride := range []int{cols, 8192} {
			s := &scratch{}
			w := randomWeight(64, stride, 1).Q
			sums := make([]int32, 12*cols)
			bench(fmt.Sprint("triples ", cols, "/", stride), 64*cols*12, func() { sumTriples(s, sums, q, 0, 0, 64, w, stride, cols) })
			bench(fmt.Sprint("single ", cols, "/", stride), 64*cols, func() { sumSingle(s, sums[:cols], q.q[:64], w, stride) })
		}
	}
}
