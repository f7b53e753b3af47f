package kerneltest

import (
	"fmt"
	"maps"
	"slices"

	"troupe/kernels"
)

// experts is the shape of an expert and its work; row numbers may repeat.
type experts struct {
	d, f, gateGroups, downGroups, rows int
	work                               []int32
}

func moeCases(add adder) {
	for _, r := range []matrix{
		{in: 1, out: 1, rows: 1}, {in: 24, out: 5, rows: 3}, {in: 192, out: 8, rows: 1}, {in: 300, out: 13, rows: 30},
		{in: 129, out: 270, rows: 2}, {in: 64, out: 8, rows: len(oddities), values: special}, {in: 64, out: 8, rows: 4, values: large},
	} {
		add(r.String(), func(s *setup) { makeRoute(s, r) }, kernels.Route)
	}
	for _, x := range []experts{
		{d: 1, f: 1, gateGroups: 1, downGroups: 1, rows: 1, work: []int32{0}},
		{d: 24, f: 55, gateGroups: 1, downGroups: 5, rows: 4, work: []int32{3, 0, 2}},
		{d: 33, f: 48, gateGroups: 3, downGroups: 8, rows: 3, work: []int32{1, 1, 2, 0, 1}},
		{d: 192, f: 384, gateGroups: 1, downGroups: 8, rows: 2, work: []int32{1}},
		{d: 130, f: 300, gateGroups: 1, downGroups: 1, rows: 20, work: []int32{19, 0, 7, 7, 3, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12}},
		{d: 40, f: 72, rows: 3, work: []int32{2, 0}},
	} {
		for _, v := range []values{normal, outliers, special} {
			name := fmt.Sprintf("D=%d F=%d groups=%d,%d work=%v values=%d", x.d, x.f, x.gateGroups, x.downGroups, x.work, v)
			add(name, func(s *setup) { makeExpert(s, x, v) }, kernels.Expert)
		}
	}
	for _, ranks := range [][]int{{1}, {2, 1, 3}, {8, 8}, {0, 2}, {5, 1, 1, 4, 2, 2, 2, 2}} {
		for _, d := range []int{1, 24, 700} {
			add(fmt.Sprintf("ranks=%v D=%d", ranks, d), func(s *setup) { makeCombine(s, ranks, d) }, kernels.Combine)
		}
	}
}

func makeRoute(s *setup, m matrix) {
	s.rows(m.rows)
	w := s.floatWeight("router", m.in, m.out, false)
	s.call(kernels.Call{Op: kernels.Route, In: []kernels.Slot{s.input(m.rows, m.in, m.values)}, Out: []kernels.Slot{s.output(m.rows, m.out)},
		Weights: []*kernels.Weight{w}})
}

// makeExpert scatters the results over twice as many pairs as there are, in random order.
func makeExpert(s *setup, x experts, v values) {
	s.rows(x.rows)
	pairs := 2 * len(x.work)
	s.frame.Work.Row = x.work
	for _, p := range s.rng.Perm(pairs)[:len(x.work)] {
		s.frame.Work.Dst = append(s.frame.Work.Dst, int32(p))
	}
	gate := s.matrix("gate", matrix{in: x.d, out: x.f, groups: x.gateGroups})
	up := s.matrix("up", matrix{in: x.d, out: x.f, groups: x.gateGroups})
	down := s.matrix("down", matrix{in: x.f, out: x.d, groups: x.downGroups})
	s.call(kernels.Call{Op: kernels.Expert, In: []kernels.Slot{s.input(x.rows, x.d, v)}, Out: []kernels.Slot{s.output(pairs, x.d)},
		Weights: []*kernels.Weight{gate, up, down}})
}

func makeCombine(s *setup, ranks []int, d int) {
	s.rows(len(ranks))
	p := &s.frame.Pairs
	p.Start = []int32{0}
	for _, n := range ranks {
		for range n {
			p.Gate = append(p.Gate, s.rng.Float32())
		}
		p.Start = append(p.Start, p.Start[len(p.Start)-1]+int32(n))
	}
	s.call(kernels.Call{Op: kernels.Combine, In: []kernels.Slot{s.input(len(p.Gate), d, normal)}, Out: []kernels.Slot{s.output(len(ranks), d)}})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
