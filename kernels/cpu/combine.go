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
			m.lib.loops.roundBF16(out)
		}
	}
}

// add: y = a + b, row by row.
type add struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
}

func newAdd(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &add{lib: lib, arith: a, call: c}
}

func (s *add) run(f *kernels.Frame) {
	if f.Rows.N == 0 {
		return
	}
	s.frame = f
	s.lib.pool.run(s, f.Rows.N, len(f.Bufs[s.call.Out[0]])/f.Rows.N/2)
	s.frame = nil
}

func (s *add) do(_, lo, hi int) {
	f := s.frame
	a, b, y := f.Bufs[s.call.In[0]], f.Bufs[s.call.In[1]], f.Bufs[s.call.Out[0]]
	d := len(y) / f.Rows.N
	for r := lo; r < hi; r++ {
		out := y[r*d:][:d]
		s.lib.loops.add(out, a[r*d:][:d], b[r*d:][:d])
		if s.arith == kernels.Reference {
			s.lib.loops.roundBF16(out)
		}
	}
}
