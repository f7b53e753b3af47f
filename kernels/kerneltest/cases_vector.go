package kerneltest

import (
	"fmt"

	"troupe/kernels"
)

// vectorCases are the ops that work on vectors: embed, rmsnorm, rope, add, head.
func vectorCases(add adder) {
	for _, d := range []int{1, 15, 16, 17, 192, 1000} {
		for _, n := range []int{1, 3, 40} {
			name := fmt.Sprintf("D=%d rows=%d", d, n)
			add(name, func(s *setup) { makeEmbed(s, n, d, 11) }, kernels.Embed)
			add(name, func(s *setup) { makeNorm(s, n, d, normal) }, kernels.RMSNorm)
			add(name, func(s *setup) { makeAdd(s, n, d, normal) }, kernels.Add)
		}
	}
	for _, v := range []values{outliers, special, tiny} {
		name := fmt.Sprintf("values=%d", v)
		add(name, func(s *setup) { makeNorm(s, 10, 70, v) }, kernels.RMSNorm)
		add(name, func(s *setup) { makeAdd(s, 10, 70, v) }, kernels.Add)
		add(name, func(s *setup) { makeHead(s, 70, 21, 10, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, v) }, kernels.Head)
	}
	for _, h := range []struct{ heads, kv, size, rows int }{{1, 1, 2, 1}, {6, 3, 6, 4}, {4, 1, 8, 3}, {8, 8, 128, 5}, {48, 8, 64, 20}} {
		name := fmt.Sprintf("heads=%d/%d size=%d rows=%d", h.heads, h.kv, h.size, h.rows)
		add(name, func(s *setup) { makeRope(s, h.heads, h.kv, h.size, h.rows) }, kernels.RoPE)
	}
	for _, h := range []struct {
		in, out, rows int
		draw          []int
	}{
		{1, 1, 1, []int{0}}, {16, 7, 3, []int{2}}, {24, 8, 3, []int{0, 2}}, {128, 9, 1, []int{0}},
		{129, 67, 2, []int{0, 1}}, {256, 600, 2, []int{1}}, {192, 300, 14, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}},
		{32, 20, 4, nil},
	} {
		add(fmt.Sprintf("D=%d V=%d draws=%v", h.in, h.out, h.draw), func(s *setup) { makeHead(s, h.in, h.out, h.rows, h.draw, normal) }, kernels.Head)
		add(fmt.Sprintf("int8 D=%d V=%d draws=%v", h.in, h.out, h.draw), func(s *setup) {
			makeHead(s, h.in, h.out, h.rows, h.draw, normal)
			s.calls[0].Weights[0] = s.int8Weight("head", h.in, h.out, max(kernels.HeadGroups(h.in), 1), plain)
		}, kernels.Head)
	}
}

func makeEmbed(s *setup, n, d, vocab int) {
	s.rows(n)
	for i := range n {
		s.frame.Rows.Token[i] = int32(s.rng.IntN(vocab))
	}
	s.frame.Rows.Token[0] = int32(vocab - 1)
	w := s.floatWeight("embedding", d, vocab, true)
	s.call(kernels.Call{Op: kernels.Embed, Layer: -1, Out: []kernels.Slot{s.output(n, d)}, Weights: []*kernels.Weight{w},
		Params: kernels.Params{Multiplier: 13.86}})
}

func makeNorm(s *setup, n, d int, v values) {
	s.rows(n)
	w := s.floatWeight("scale", 1, d, false)
	s.call(kernels.Call{Op: kernels.RMSNorm, In: []kernels.Slot{s.input(n, d, v)}, Out: []kernels.Slot{s.output(n, d)},
		Weights: []*kernels.Weight{w}, Params: kernels.Params{Eps: 1e-5}})
}

func makeAdd(s *setup, n, d int, v values) {
	s.rows(n)
	a, b := s.input(n, d, v), s.input(n, d, normal)
	s.call(kernels.Call{Op: kernels.Add, In: []kernels.Slot{a, b}, Out: []kernels.Slot{s.output(n, d)}})
}

func makeRope(s *setup, heads, kv, size, n int) {
	const positions = 300
	s.rows(n)
	for i := range n {
		s.frame.Rows.Pos[i] = int32(s.rng.IntN(positions))
	}
	s.frame.Rows.Pos[n-1] = positions - 1
	q, k := s.input(n, heads*size, normal), s.input(n, kv*size, normal)
	s.call(kernels.Call{Op: kernels.RoPE, In: []kernels.Slot{q, k}, Out: []kernels.Slot{s.output(n, heads*size), s.output(n, kv*size)},
		Params: kernels.Params{Heads: heads, KVHeads: kv, KeySize: size, Rope: kernels.NewRope(10000, size, positions)}})
}

func makeHead(s *setup, in, out, n int, draw []int, v values) {
	s.rows(n)
	for _, r := range draw {
		s.frame.Rows.Draw = append(s.frame.Rows.Draw, int32(r))
	}
	w := s.floatWeight("embedding", in, out, true)
	s.call(kernels.Call{Op: kernels.Head, Layer: -1, In: []kernels.Slot{s.input(n, in, v)}, Out: []kernels.Slot{s.output(len(draw), out)},
		Weights: []*kernels.Weight{w}, Params: kernels.Params{Multiplier: 0.577}})
}
