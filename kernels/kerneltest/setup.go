package kerneltest

import (
	"fmt"
	"math/rand/v2"

	"troupe/kernels"
)

// setup holds the operands of a case: the same seed, the same operands.
type setup struct {
	rng    *rand.Rand
	mem    memory
	calls  []kernels.Call
	frame  kernels.Frame
	widths []int // of slots
	panels bool  // int8 weights lie in panels
}

// untouched is what outputs hold before a call, so that what a call leaves out shows.
const untouched = -1234.5

// input adds a buffer of rows that calls only read.
func (s *setup) input(rows, width int, v values) kernels.Slot {
	slot := s.buffer("input", rows, width, false)
	v.fill(s.rng, s.frame.Bufs[slot], width)
	return slot
}

// output adds a buffer that calls write.
func (s *setup) output(rows, width int) kernels.Slot {
	slot := s.buffer("output", rows, width, true)
	fillUntouched(s.frame.Bufs[slot])
	return slot
}

func (s *setup) buffer(kind string, rows, width int, writable bool) kernels.Slot {
	slot := kernels.Slot(len(s.frame.Bufs))
	buf := numbers[float32](&s.mem, fmt.Sprintf("%s %d", kind, slot), rows*width, writable)
	s.frame.Bufs, s.widths = append(s.frame.Bufs, buf), append(s.widths, width)
	return slot
}

func fillUntouched(buf []float32) {
	for i := range buf {
		buf[i] = untouched
	}
}

// int8Weight draws an int8 matrix.
func (s *setup) int8Weight(name string, in, out, groups int, sc scales) *kernels.Weight {
	w := &kernels.Weight{Name: name, In: in, Out: out, Groups: groups, Panels: s.panels}
	q := make([]int8, in*out)
	int8s(s.rng, q)
	if s.panels {
		w.Q = numbers[int8](&s.mem, name, kernels.PanelSize(in, out, groups), false)
	} else {
		w.Q = weightInt8s(&s.mem, name, in*out)
	}
	s.setWeights(w, q)
	w.Scales = weightFloats(&s.mem, name+" scales", groups*out)
	sc.fill(s.rng, w.Scales)
	return w
}

// setWeights fills w with a matrix [In Out].
func (s *setup) setWeights(w *kernels.Weight, q []int8) {
	if w.Panels {
		kernels.PackPanels(w.Q, q, w.In, w.Out, w.Groups, 0, kernels.NumPanels(w.Out))
	} else {
		copy(w.Q, q)
	}
}

// floatWeight draws a float32 matrix.
func (s *setup) floatWeight(name string, in, out int, byOutput bool) *kernels.Weight {
	w := &kernels.Weight{Name: name, In: in, Out: out, ByOutput: byOutput, F: weightFloats(&s.mem, name, in*out)}
	normal.fill(s.rng, w.F, in)
	return w
}

func (s *setup) call(c kernels.Call) { s.calls = append(s.calls, c) }

// rows makes n rows, one sequence each, all at position 0.
func (s *setup) rows(n int) {
	r := &s.frame.Rows
	for i := range n {
		r.Seq, r.Pos, r.Token = append(r.Seq, int32(i)), append(r.Pos, 0), append(r.Token, 0)
		r.First, r.Keyless, r.Prompt = append(r.First, 0), append(r.Keyless, 0), append(r.Prompt, false)
		r.Tables, r.Skip = append(r.Tables, nil), append(r.Skip, nil)
	}
	r.N = n
}

// written tells which slots the calls write.
func (s *setup) written() map[kernels.Slot]bool {
	out := map[kernels.Slot]bool{}
	for _, c := range s.calls {
		for _, slot := range c.Out {
			out[slot] = true
		}
	}
	return out
}
