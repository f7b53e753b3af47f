//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"testing"

	"troupe/kernels"
)

// A segment whose calls read what experts have written, or write in place, takes and gives back whole slots: rows that
// no expert writes stay as they are.
func TestLiveSlots(t *testing.T) {
	l := open(t)
	h := newHalf(12, kernels.Int8, 1, 1, false)
	const x, parts, y, rows = 0, 1, 2, 3
	matrix := func(name string) *kernels.Weight { return h.int8(name, width) }
	expert := kernels.Call{Op: kernels.Expert, In: []kernels.Slot{x}, Out: []kernels.Slot{parts}, Weights: []*kernels.Weight{matrix("gate"), matrix("up"), matrix("down")}}
	combine := kernels.Call{Op: kernels.Combine, In: []kernels.Slot{parts}, Out: []kernels.Slot{y}}
	inPlace := kernels.Call{Op: kernels.Add, In: []kernels.Slot{x, y}, Out: []kernels.Slot{y}}
	for name, calls := range map[string][]kernels.Call{
		"expert alone":        {expert},
		"expert, combine":     {expert, combine},
		"in place":            {inPlace},
		"combine, in place":   {combine, inPlace},
		"in place, expert":    {inPlace, expert},
		"expert over its own": {{Op: kernels.Expert, In: []kernels.Slot{parts}, Out: []kernels.Slot{parts}, Weights: expert.Weights}},
	} {
		h.segment.Calls = calls
		k, err := l.Compile(h.segment)
		if err != nil {
			t.Fatal(err)
		}
		f := &kernels.Frame{Cache: h.cache, Bufs: [][]float32{make([]float32, rows*width), make([]float32, 2*rows*width), make([]float32, rows*width)},
			Rows:  kernels.Rows{N: rows},
			Pairs: kernels.Pairs{Start: []int32{0, 2, 4, 6}, Gate: []float32{0.5, 0.25, 1, 2, 0.125, 0.75}},
			Work:  kernels.Work{Row: []int32{2, 0}, Dst: []int32{4, 1}}}
		for _, b := range f.Bufs {
			h.fill(b)
		}
		want := clone(f)
		h.truth(t, want)
		if err := k.Run(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := differ(f, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		closed(t, k.(*kernel))
	}
}
