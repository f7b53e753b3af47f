package kernels

import (
	"slices"
	"testing"
)

func TestFootprint(t *testing.T) {
	calls := []Call{
		{Op: RMSNorm, In: []Slot{0}, Out: []Slot{1}},
		{Op: Linear, In: []Slot{1}, Out: []Slot{2, 3, 4}},
		{Op: RoPE, In: []Slot{2, 3}, Out: []Slot{2, 3}},
		{Op: Attend, In: []Slot{2, 3, 4}, Out: []Slot{5}},
		{Op: Add, In: []Slot{0, 5}, Out: []Slot{0}},
	}
	for _, c := range []struct {
		calls               []Call
		reads, writes, live []Slot
	}{
		{calls, nil, []Slot{0, 1, 2, 3, 4, 5}, []Slot{0}},
		{calls[2:4], []Slot{4}, []Slot{2, 3, 5}, []Slot{2, 3}},
		{calls[:2], []Slot{0}, []Slot{1, 2, 3, 4}, nil},
		{[]Call{{Op: Expert, In: []Slot{1}, Out: []Slot{7}}}, []Slot{1}, []Slot{7}, []Slot{7}},
		{[]Call{{Op: Embed, Out: []Slot{0}}}, nil, []Slot{0}, nil},
	} {
		f := FootprintOf(c.calls)
		if !slices.Equal(f.Reads, c.reads) || !slices.Equal(f.Writes, c.writes) || !slices.Equal(f.Live, c.live) {
			t.Errorf("%v: %+v, want %v, %v, %v", c.calls[0].Op, f, c.reads, c.writes, c.live)
		}
	}
}
