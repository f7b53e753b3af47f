package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"troupe/kernels"
)

// FuzzLinear is the body of a fuzz target: one matrix of random size, storage and bytes, on 1 to 8
// threads. The library is judged as Case.Check does.
func FuzzLinear(f *testing.F, open func(kernels.Threads) (kernels.Library, error)) {
	f.Add(uint16(300), uint16(70), uint8(2), uint8(4), uint8(2), uint8(1), uint8(0), false, []byte{0x80, 0x7f, 0, 1, 0xff})
	f.Add(uint16(1), uint16(1), uint8(1), uint8(1), uint8(1), uint8(0), uint8(1), true, []byte(nil))
	f.Add(uint16(129), uint16(9), uint8(8), uint8(13), uint8(3), uint8(2), uint8(2), true, []byte{7})
	libs := map[int]kernels.Library{}
	f.Cleanup(func() {
		for _, lib := range libs {
			lib.Close()
		}
	})
	f.Fuzz(func(t *testing.T, in, out uint16, groups, rows, threads, arith, storage uint8, wild bool, data []byte) {
		n := int(threads)%8 + 1
		if libs[n] == nil {
			lib, err := open(kernels.SameThreads(n))
			if err != nil {
				t.Skip(err)
			}
			libs[n] = lib
		}
		m := matrix{out: int(out)%200 + 1, rows: int(rows)%13 + 1}
		switch storage % 3 {
		case 0:
			m.groups = int(groups)%8 + 1
		case 2:
			m.byOutput = true
		}
		per := max(m.groups, 1)
		m.in = (int(in)%300/per + 1) * per
		c := Case{Name: fmt.Sprintf("fuzz %v %v %q", m, wild, data), Arith: kernels.Arith(arith % 3), Ops: []kernels.Op{kernels.Linear}}
		c.make = func(s *setup) {
			makeLinear(s, m)
			w := s.calls[0].Weights[0]
			if w.Quantised() && len(data) > 0 {
				q := make([]int8, w.In*w.Out)
				for i := range q {
					q[i] = int8(data[i%len(data)])
				}
				s.setWeights(w, q)
			}
			if wild {
				s.anyBits(s.frame.Bufs[0])
				s.anyBits(w.Scales)
			}
		}
		if err := c.Check(libs[n]); err != nil {
			t.Fatalf("%d threads: %v", n, err)
		}
	})
}

// anyBits replaces every fourth number by random bits: NaN, infinite, subnormal, huge.
func (s *setup) anyBits(dst []float32) {
	for i := 0; i < len(dst); i += 4 {
		dst[i] = math.Float32frombits(s.rng.Uint32())
	}
}
