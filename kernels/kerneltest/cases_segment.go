package kerneltest

import "troupe/kernels"

// segmentCases are runs of calls in which one reads what another has written, as a layer does.
func segmentCases(add adder) {
	add("segment", func(s *setup) { makeSegment(s, heads{6, 2, 16}, 96) },
		kernels.RMSNorm, kernels.Linear, kernels.RoPE, kernels.Attend, kernels.Add, kernels.Route)
}

// makeSegment is the attention half of a layer, up to the router.
func makeSegment(s *setup, h heads, d int) {
	batch := []stretch{{hi: 5, prompt: true}, {lo: 130, hi: 131}, {lo: 17, hi: 18}}
	n := s.stretches(batch)
	half := s.rng.IntN(2) == 1
	s.cache(h.kv, h.size, half, batch)
	slots := func(all ...kernels.Slot) []kernels.Slot { return all }
	weights := func(all ...*kernels.Weight) []*kernels.Weight { return all }
	hidden := s.input(n, d, normal)
	out := func(width int) kernels.Slot { return s.output(n, width) }
	wide, narrow := h.query*h.size, h.kv*h.size
	normed, q, k, v, q2, k2 := out(d), out(wide), out(narrow), out(narrow), out(wide), out(narrow)
	mix, proj, sum, probs := out(wide), out(d), out(d), out(5)
	p := kernels.Params{Multiplier: 0.25, Cap: 30, Eps: 1e-5, Heads: h.query, KVHeads: h.kv, KeySize: h.size, Rope: kernels.NewRope(10000, h.size, 200)}

	s.call(kernels.Call{Op: kernels.RMSNorm, In: slots(hidden), Out: slots(normed), Weights: weights(s.floatWeight("scale", 1, d, false)), Params: p})
	s.call(kernels.Call{Op: kernels.Linear, In: slots(normed), Out: slots(q, k, v), Weights: weights(
		s.int8Weight("query", d, wide, 1, plain), s.int8Weight("key", d, narrow, 1, plain), s.int8Weight("value", d, narrow, 1, plain))})
	s.call(kernels.Call{Op: kernels.RoPE, In: slots(q, k), Out: slots(q2, k2), Params: p})
	s.call(kernels.Call{Op: kernels.Attend, Layer: attendLayer, In: slots(q2, k2, v), Out: slots(mix), Params: p})
	s.call(kernels.Call{Op: kernels.Linear, In: slots(mix), Out: slots(proj), Weights: weights(s.int8Weight("out", wide, d, 8, plain))})
	s.call(kernels.Call{Op: kernels.Add, In: slots(hidden, proj), Out: slots(sum)})
	s.call(kernels.Call{Op: kernels.Route, In: slots(sum), Out: slots(probs), Weights: weights(s.floatWeight("router", d, 5, false))})
}
