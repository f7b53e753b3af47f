package kerneltest

import (
	"fmt"

	"troupe/kernels"
)

// checkAlone computes every row of a case by itself and compares it with what the batch gave (N3). The
// setup is one that the kernel has run on; its cache holds the batch's keys and values.
func checkAlone(k kernels.Kernel, s *setup) error {
	c := &s.calls[0]
	for i := range items(c, &s.frame) {
		f, pick := alone(c, s, i)
		if err := runOn(k, f); err != nil {
			return fmt.Errorf("row %d alone: %w", i, err)
		}
		for _, out := range c.Out {
			at := pick * s.widths[out]
			if err := differ(f.Bufs[out], s.frame.Bufs[out][at:at+s.widths[out]], 0); err != nil {
				return fmt.Errorf("row %d alone is not the row in company: output %d: %w", i, out, err)
			}
		}
	}
	return nil
}

// items is how many independent results a call has.
func items(c *kernels.Call, f *kernels.Frame) int {
	switch c.Op {
	case kernels.Head:
		return len(f.Rows.Draw)
	case kernels.Expert:
		return len(f.Work.Row)
	}
	return f.Rows.N
}

// alone is the frame of item i by itself, and the row of the batch's outputs that it stands for.
func alone(c *kernels.Call, s *setup, i int) (f *kernels.Frame, pick int) {
	b := &s.frame
	row, pick := i, i
	f = &kernels.Frame{Cache: b.Cache, Bufs: make([][]float32, len(b.Bufs))}
	lo, hi := 0, 0 // rows of the inputs
	switch c.Op {
	case kernels.Head:
		row = int(b.Rows.Draw[i])
		f.Rows.Draw = []int32{0}
	case kernels.Expert:
		row, pick = int(b.Work.Row[i]), int(b.Work.Dst[i])
		f.Work = kernels.Work{Row: []int32{0}, Dst: []int32{0}}
	case kernels.Combine:
		lo, hi = int(b.Pairs.Start[i]), int(b.Pairs.Start[i+1])
		f.Pairs = kernels.Pairs{Start: []int32{0, int32(hi - lo)}, Gate: b.Pairs.Gate[lo:hi]}
	}
	if c.Op != kernels.Combine {
		lo, hi = row, row+1
	}
	r := &b.Rows
	f.Rows = kernels.Rows{
		N: 1, Token: r.Token[row:][:1], Pos: r.Pos[row:][:1], Seq: r.Seq[row:][:1], First: r.First[row:][:1],
		Keyless: r.Keyless[row:][:1], Prompt: r.Prompt[row:][:1], Draw: f.Rows.Draw, Tables: r.Tables, Skip: r.Skip,
	}
	for _, in := range c.In {
		f.Bufs[in] = b.Bufs[in][lo*s.widths[in] : hi*s.widths[in]]
	}
	for _, out := range c.Out {
		f.Bufs[out] = make([]float32, s.widths[out])
	}
	return f, pick
}
