package kernels

import (
	"math"
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

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		what      string
		got, want []float32
		bound     float64
		ok        bool
		element   int
	}{
		{"same", []float32{1, -2}, []float32{1, -2}, 0, true, -1},
		{"any NaN", []float32{-nan}, []float32{nan}, 0, true, -1},
		{"zeros of two signs", []float32{0, 1}, []float32{float32(math.Copysign(0, -1)), 1}, 0, false, 0},
		{"the same, close", []float32{0, 1}, []float32{float32(math.Copysign(0, -1)), 1}, 1e-6, true, 0},
		{"the worst", []float32{1.5, 3, 8}, []float32{1, 2, 8}, 0.2, true, 1},
		{"too far", []float32{1, 5, 8}, []float32{1, 2, 8}, 0.2, false, 1},
		{"a NaN", []float32{1, nan}, []float32{1, 2}, 1, false, 1},
		{"infinite", []float32{inf, 1}, []float32{8, 1}, 1, false, 0},
		{"infinite both", []float32{inf, 1}, []float32{inf, 1.001}, 0.01, true, 1},
	} {
		d, ok := Compare(c.got, c.want, c.bound)
		if ok != c.ok || d.Element != c.element {
			t.Errorf("%s: %+v, %v, want element %d, %v", c.what, d, ok, c.element, c.ok)
		}
	}
}
