package stages

import (
	"math"

	"troupe/kernels"
	"troupe/model"
	"troupe/tensor"
)

// shadow is the memory of a library that runs beside the one that serves: the slots that it writes, while it
// reads what the other one read. One batch at a time.
type shadow struct {
	arena  *tensor.Arena // of the kind that another process can map
	slots  []model.SlotSpec
	arith  kernels.Arith
	full   [][]float32 // by slot
	frame  kernels.Frame
	served []float32 // keys and values that the one that serves has stored
	beside []float32
	a, b   []float32 // rows that an expert has written, one after the other
}

// touchedFirst is how many numbers of a slot have their pages from the beginning: those of a decode batch. There are many
// more than are ever used where a row may have hundreds of experts.
const touchedFirst = 1 << 18

// needShadow makes the memory when a program may compare.
func (l *Libraries) needShadow(p *Program) error {
	if p.tally.Pieces == 0 && (p.verify == 0 || !p.doubled) {
		return nil
	}
	if l.shadow == nil {
		s := &shadow{slots: l.slots, arith: l.Arith}
		var err error
		if s.arena, s.full, err = buffers("shadow", l.slots, l.Limits); err != nil {
			return err
		}
		for _, v := range s.full { // here, where nobody waits, rather than page by page on the lane
			spoil(v[:min(len(v), touchedFirst)])
		}
		l.shadow = s
	}
	p.shadow = l.shadow
	return nil
}

// prepare makes a frame with the inputs of f and outputs that hold no number, so that what is not written shows.
// A batch that is larger than the limits has no room here.
func (s *shadow) prepare(pc *piece, f *kernels.Frame) bool {
	bufs := append(s.frame.Bufs[:0], f.Bufs...)
	s.frame = *f
	s.frame.Bufs = bufs
	for i := range pc.calls {
		for _, slot := range pc.calls[i].Out {
			n := len(f.Bufs[slot])
			if n > len(s.full[slot]) {
				return false
			}
			bufs[slot] = s.full[slot][:n]
			if pc.calls[i].Op != kernels.Expert {
				spoil(bufs[slot])
				continue
			}
			for _, dst := range f.Work.Dst {
				spoil(row(bufs[slot], int(dst), s.slots[slot].Width))
			}
		}
	}
	return true
}

func spoil(v []float32) {
	for i := range v {
		v[i] = float32(math.NaN())
	}
}

func row(v []float32, i, width int) []float32 { return v[i*width : (i+1)*width] }
