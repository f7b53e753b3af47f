package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// combine: y = sum of gate * part, in rank order.
type combine struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
}

func newCombine(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &combine{lib: lib, arith: a, call: c}
}

func (m *combine) run(f *kernels.Frame) {
	if f.Rows.N == 0 {
		return
	}
	m.frame = f
	m.lib.pool.run(m, f.Rows.N, len(f.Bufs[m.call.In[0]])/f.Rows.N)
	m.frame = nil
}

func (m *combine) do(_, lo, hi int) {
	f := m.frame
	parts, y := f.Bufs[m.call.In[0]], f.Bufs[m.call.Out[0]]
	d := len(y) / f.Rows.N
	for r := lo; r < hi; r++ {
		out := y[r*d:][:d]
		clear(out)
		for p := int(f.Pairs.Start[r]); p < int(f.Pairs.Start[r+1]); p++ {
			gate := f.Pairs.Gate[p]
			if m.arith == kernels.Reference {
				gate = tensor.RoundBF16(gate)
			}
			m.lib.loops.axpy1(out, parts[p*d:][:d], gate)
		}
		if m.arith == kernels.Reference {
			roundBF16(out)
		}
	}
}

// add: y = a + b.
type add struct {
	arith kernels.Arith
	call  *kernels.Call
}

func newAdd(_ *library, a kernels.Arith, c *kernels.Call) step { return &add{a, c} }

func (s *add) run(f *kernels.Frame) {
	y := f.Bufs[s.call.Out[0]]
	a, b := f.Bufs[s.call.In[0]][:len(y)], f.Bufs[s.call.In[1]][:len(y)]
	for i := range y {
		y[i] = a[i] + b[i]
	}
	if s.arith == kernels.Reference {
		roundBF16(y)
	}
}
