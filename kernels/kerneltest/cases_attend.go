package kerneltest

import (
	"fmt"

	"troupe/kernels"
)

// heads is the shape of an attention.
type heads struct{ query, kv, size int }

// stretch is rows of one sequence, positions lo to hi-1, after a cache that holds positions below lo.
type stretch struct {
	lo, hi  int
	prompt  bool
	first   int     // left padding before it is never a key
	keyless int     // rows before first average the values below it
	skip    []int32 // pads inside the prompt
}

func attendCases(arith kernels.Arith, add adder) {
	shapes := []heads{{1, 1, 8}, {6, 3, 6}, {4, 1, 16}, {3, 3, 20}, {8, 2, 64}, {12, 2, 128}}
	batches := map[string][]stretch{
		"first token":   {{hi: 1, prompt: true}},
		"prompt":        {{hi: 21, prompt: true}},
		"chunk":         {{lo: 10, hi: 40, prompt: true}},
		"decode":        {{lo: 15, hi: 16}, {lo: 16, hi: 17}, {lo: 3, hi: 4}},
		"128 keys":      {{lo: 126, hi: 130}},
		"257 keys":      {{lo: 255, hi: 257}, {lo: 300, hi: 301}},
		"mixed":         {{hi: 18, prompt: true}, {lo: 143, hi: 144}, {lo: 31, hi: 34, prompt: true}},
		"left padding":  {{hi: 20, prompt: true, first: 5, keyless: 20}, {lo: 40, hi: 41, first: 17}},
		"pads inside":   {{lo: 6, hi: 20, prompt: true, skip: []int32{2, 7, 8, 19}}, {lo: 20, hi: 21, skip: []int32{2, 7}}},
		"a whole block": {{lo: 16, hi: 48, prompt: true}},
	}
	for i, name := range sortedKeys(batches) {
		for j, h := range shapes {
			for _, half := range []bool{false, true} {
				if arith != kernels.Exact && j != i%len(shapes) {
					continue // attention is one code for all arithmetics, but for the roundings of Reference
				}
				b := batches[name]
				full := fmt.Sprintf("%s heads=%d/%d size=%d half=%v", name, h.query, h.kv, h.size, half)
				add(full, func(s *setup) { makeAttend(s, h, b, half, normal) }, kernels.Attend)
			}
		}
	}
	for _, v := range []values{large, special} {
		for _, half := range []bool{false, true} {
			add(fmt.Sprintf("values=%d half=%v", v, half), func(s *setup) {
				makeAttend(s, heads{4, 2, 32}, batches["mixed"], half, v)
			}, kernels.Attend)
		}
	}
}

// attendLayer is the layer that is worked on; a second one must stay as it is.
const attendLayer = 1

func makeAttend(s *setup, h heads, batch []stretch, half bool, v values) {
	n := s.stretches(batch)
	s.cache(h.kv, h.size, half, batch)
	q, k, val := s.input(n, h.query*h.size, v), s.input(n, h.kv*h.size, v), s.input(n, h.kv*h.size, normal)
	s.call(kernels.Call{Op: kernels.Attend, Layer: attendLayer, In: []kernels.Slot{q, k, val}, Out: []kernels.Slot{s.output(n, h.query*h.size)},
		Params: kernels.Params{Multiplier: 0.125, Cap: 30, Heads: h.query, KVHeads: h.kv, KeySize: h.size}})
}

// stretches adds the rows of a batch and returns how many there are.
func (s *setup) stretches(batch []stretch) int {
	r := &s.frame.Rows
	for i, b := range batch {
		for pos := b.lo; pos < b.hi; pos++ {
			keyless := 0
			if pos < b.first {
				keyless = b.keyless
			}
			r.Seq, r.Pos, r.Token = append(r.Seq, int32(i)), append(r.Pos, int32(pos)), append(r.Token, 0)
			r.First, r.Keyless, r.Prompt = append(r.First, int32(b.first)), append(r.Keyless, int32(keyless)), append(r.Prompt, b.prompt)
			r.N++
		}
		r.Skip = append(r.Skip, b.skip)
	}
	return r.N
}

// cache makes a cache of two layers with random contents and block tables in random order.
func (s *setup) cache(kv, size int, half bool, batch []stretch) {
	blocks := 1
	for _, b := range batch {
		blocks += (b.hi + kernels.BlockTokens - 1) / kernels.BlockTokens
	}
	order := s.rng.Perm(blocks)
	for _, b := range batch {
		var table []int32
		for range (b.hi + kernels.BlockTokens - 1) / kernels.BlockTokens {
			table, order = append(table, int32(order[0])), order[1:]
		}
		s.frame.Rows.Tables = append(s.frame.Rows.Tables, table)
	}
	c := &kernels.Cache{KVHeads: kv, KeySize: size, Blocks: blocks, Half: half}
	for range attendLayer + 1 {
		c.Layers = append(c.Layers, s.cacheLayer(blocks*c.BlockSize(), half))
	}
	s.frame.Cache = c
}

func (s *setup) cacheLayer(n int, half bool) (l kernels.CacheLayer) {
	if !half {
		l.K32, l.V32 = numbers[float32](&s.mem, "keys", n, true), numbers[float32](&s.mem, "values", n, true)
		normal.fill(s.rng, l.K32, n)
		normal.fill(s.rng, l.V32, n)
		return l
	}
	l.K16, l.V16 = numbers[uint16](&s.mem, "keys", n, true), numbers[uint16](&s.mem, "values", n, true)
	for _, buf := range [][]uint16{l.K16, l.V16} {
		for i := range buf {
			bits := uint16(s.rng.Uint32())
			buf[i] = 0x3e00 + bits&0x1ff + bits&0x8000 // ±0.125 to ±2
		}
	}
	return l
}
