package kerneltest

import (
	"fmt"

	"troupe/kernels"
)

// matrix is the shape of a linear case; no groups means float32.
type matrix struct {
	in, out, groups, rows int
	byOutput              bool
	values                values
	scales                scales
}

func (m matrix) String() string {
	s := fmt.Sprintf("K=%d N=%d groups=%d rows=%d", m.in, m.out, m.groups, m.rows)
	if m.byOutput {
		s += " by output"
	}
	return s + fmt.Sprintf(" values=%d scales=%d", m.values, m.scales)
}

func linearCases(add adder) {
	list := []matrix{
		{in: 1, out: 1, groups: 1, rows: 1}, {in: 1, out: 9, groups: 1, rows: 4}, {in: 3, out: 16, groups: 1, rows: 2},
		{in: 8, out: 5, groups: 8, rows: 5}, {in: 176, out: 24, groups: 8, rows: 3}, {in: 176, out: 25, groups: 8, rows: 1},
		{in: 127, out: 31, groups: 1, rows: 1}, {in: 128, out: 64, groups: 1, rows: 2}, {in: 129, out: 65, groups: 1, rows: 4},
		{in: 520, out: 257, groups: 2, rows: 1}, {in: 200, out: 300, groups: 1, rows: 13}, {in: 1000, out: 7, groups: 8, rows: 12},
		{in: 192, out: 1031, groups: 1, rows: 1}, {in: 384, out: 192, groups: 8, rows: 5}, {in: 600, out: 900, groups: 1, rows: 1},
		{in: 256, out: 520, groups: 8, rows: 25}, {in: 150, out: 40, groups: 1, rows: 64},
		{in: 1, out: 1, rows: 1}, {in: 130, out: 77, rows: 3}, {in: 300, out: 600, rows: 1},
		{in: 1, out: 3, rows: 2, byOutput: true}, {in: 130, out: 77, rows: 3, byOutput: true}, {in: 256, out: 400, rows: 14, byOutput: true},
	}
	for n := 1; n <= 13; n++ {
		list = append(list, matrix{in: 70, out: 37, groups: 2, rows: n})
	}
	for _, v := range []values{outliers, special, tiny} {
		for _, sc := range []scales{plain, signed} {
			list = append(list, matrix{in: 260, out: 43, groups: 2, rows: len(oddities), values: v, scales: sc})
		}
		list = append(list, matrix{in: 260, out: 43, groups: 1, rows: 1, values: v, scales: signed},
			matrix{in: 140, out: 43, rows: len(oddities), values: v}, matrix{in: 140, out: 43, rows: len(oddities), byOutput: true, values: v})
	}
	for _, m := range list {
		add(m.String(), func(s *setup) { makeLinear(s, m) }, kernels.Linear)
	}
	add("three weights", func(s *setup) {
		makeLinear(s, matrix{in: 96, out: 96, groups: 1, rows: 3}, matrix{in: 96, out: 32, groups: 1}, matrix{in: 96, out: 33, groups: 4})
	}, kernels.Linear)
	add("three large weights", func(s *setup) {
		makeLinear(s, matrix{in: 256, out: 600, groups: 1, rows: 2}, matrix{in: 256, out: 300}, matrix{in: 256, out: 300, groups: 2})
	}, kernels.Linear)
}

// makeLinear takes rows and values from the first matrix.
func makeLinear(s *setup, all ...matrix) {
	m := all[0]
	s.rows(m.rows)
	c := kernels.Call{Op: kernels.Linear, In: []kernels.Slot{s.input(m.rows, m.in, m.values)}}
	for i, w := range all {
		c.Weights = append(c.Weights, s.matrix(fmt.Sprintf("weight %d", i), w))
		c.Out = append(c.Out, s.output(m.rows, w.out))
	}
	s.call(c)
}

func (s *setup) matrix(name string, m matrix) *kernels.Weight {
	if m.groups == 0 {
		return s.floatWeight(name, m.in, m.out, m.byOutput)
	}
	return s.int8Weight(name, m.in, m.out, m.groups, m.scales)
}
