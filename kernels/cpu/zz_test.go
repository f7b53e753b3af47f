package cpu

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"troupe/kernels"
)

func cpuNow() float64 {
	var r syscall.Rusage
	syscall.Getrusage(1, &r)
	return float64(r.Utime.Sec) + float64(r.Utime.Usec)*1e-6
}

func TestZZ(t *testing.T) {
	if os.Getenv("A") == "" {
		return
	}
	runtime.LockOSThread()
	arith, _ := kernels.ParseArith(os.Getenv("A"))
	for _, size := range [][3]int{{192, 384, 1}, {2048, 8192, 1}, {8192, 2048, 8}, {6144, 32768, 1}} {
		for _, rows := range []int{1, 2, 3, 4, 12, 64} {
			if size[1] > 10000 && rows > 4 {
				continue
			}
			in, out := size[0], size[1]
			w := randomWeight(in, out, size[2])
			f := &kernels.Frame{Rows: plainRows(rows), Bufs: [][]float32{randomFloats(rows * in), make([]float32, rows*out)}}
			lib := open(genericName, genericDoc, &genericLoops, 1)
			k, _ := lib.Compile(kernels.Segment{Arith: arith, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}})
			k.Run(f)
			best := 1e9
			for range 8 {
				t0 := cpuNow()
				n := 0
				for cpuNow()-t0 < 0.02 {
					k.Run(f)
					n++
				}
				best = min(best, (cpuNow()-t0)/float64(n))
			}
			lib.Close()
			fmt.Println(in, out, rows, strconv.FormatFloat(float64(in*out*rows)/best/1e9, 'f', 2, 64), "GMAC/s")
		}
	}
}
