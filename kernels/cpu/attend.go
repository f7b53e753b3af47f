package cpu

import (
	"troupe/kernels"
	"troupe/kernels/ref"
	"troupe/tensor"
)

// attend stores the rows' keys and values, then weighs the values of the keys that each row may see. An
// item is one row and a run of query heads that share a key head.
type attend struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
	group int            // query heads of an item
	store storeJob
}

func newAttend(lib *library, a kernels.Arith, c *kernels.Call) step {
	t := &attend{lib: lib, arith: a, call: c}
	t.store.attend = t
	return t
}

func (a *attend) run(f *kernels.Frame) {
	n, c := f.Rows.N, a.call
	if n == 0 {
		return
	}
	a.frame = f
	a.lib.pool.run(&a.store, n, 3*c.KVHeads*c.KeySize)
	keys, longest := 0, 0
	for r := range n {
		keys, longest = keys+a.keys(r), max(longest, a.keys(r))
	}
	// Heads of a group share the keys that they read; a single row has them on all threads instead.
	a.group = c.Heads / c.KVHeads
	if n*c.KVHeads < 4*a.lib.pool.threads && a.lib.pool.threads > 1 {
		a.group = 1
	}
	width := a.group * c.KeySize
	a.lib.reserve(sizes{p: a.group * padded(longest), wide: c.KeySize * kernels.BlockTokens, block: width, group: a.group})
	a.lib.pool.run(a, n*c.Heads/a.group, keys/n*a.group*(c.KeySize+8))
	a.frame = nil
}

// keys is the number of positions, from 0 on, that row r looks at.
func (a *attend) keys(r int) int {
	if n := int(a.frame.Rows.Keyless[r]); n > 0 {
		return n
	}
	return int(a.frame.Rows.Pos[r]) + 1
}

// padded is a number of keys rounded up to whole cache blocks.
func padded(keys int) int { return ceilDiv(keys, kernels.BlockTokens) * kernels.BlockTokens }

func (a *attend) do(worker, lo, hi int) {
	runs := a.call.Heads / a.group
	for t := lo; t < hi; t++ {
		a.heads(&a.lib.scratch[worker], t/runs, t%runs*a.group)
	}
}

// heads computes group query heads of row r, from head first on.
func (a *attend) heads(s *scratch, r, first int) {
	c, rows := a.call, &a.frame.Rows
	size, keys := c.KeySize, a.keys(r)
	view := view{a.lib.loops, a.frame.Cache, &a.frame.Cache.Layers[c.Layer], rows.Tables[rows.Seq[r]], first / (c.Heads / c.KVHeads)}
	stride := padded(keys) // of the weights of a head
	at := (r*c.Heads + first) * size
	q, y := a.frame.Bufs[c.In[0]][at:][:a.group*size], a.frame.Bufs[c.Out[0]][at:][:a.group*size]

	for j := 0; j < keys && rows.Keyless[r] == 0; j += kernels.BlockTokens {
		k := view.keys(s.wide, j)
		for h := range a.group {
			a.lib.loops.scores((*[kernels.BlockTokens]float32)(s.p[h*stride+j:]), q[h*size:][:size], k)
		}
	}
	for h := range a.group {
		p := s.p[h*stride:][:keys]
		a.weigh(p, r)
		s.group[h] = sumKeys(p)
		if a.arith == kernels.Reference {
			for j := range p {
				p[j] = tensor.RoundBF16(p[j] / s.group[h])
			}
		}
	}
	a.values(s, y, &view, keys, stride)
	for h := range a.group {
		out := y[h*size:][:size]
		if a.arith == kernels.Reference {
			roundBF16(out)
			continue
		}
		for i := range out {
			out[i] /= s.group[h]
		}
	}
}

// weigh turns one head's dots into exp(logit - cap), 0 for keys that row r may not see.
func (a *attend) weigh(p []float32, r int) {
	rows, c := &a.frame.Rows, a.call
	if rows.Keyless[r] > 0 {
		for j := range p {
			p[j] = 1
		}
		return
	}
	first := min(int(rows.First[r]), len(p))
	clear(p[:first])
	for j, s := range p[first:] {
		if a.arith == kernels.Reference {
			s = tensor.RoundBF16(s)
		}
		p[first+j] = ref.Exp(float32(c.Cap*ref.Tanh(float32(s*c.Multiplier)/c.Cap)) - c.Cap)
	}
	if rows.Prompt[r] {
		for _, pos := range rows.Skip[rows.Seq[r]] {
			if int(pos) < len(p) {
				p[pos] = 0
			}
		}
	}
}

// values: y = sum of p v for each head, in blocks of keys.
func (a *attend) values(s *scratch, y []float32, v *view, keys, stride int) {
	size := a.call.KeySize
	sums := s.block[:len(y)]
	clear(y)
	for lo := 0; lo < keys; lo += kernels.BlockKeys {
		clear(sums)
		for j := lo; j < min(lo+kernels.BlockKeys, keys); j += kernels.BlockTokens {
			rows := v.values(s.wide, j)
			for h := range a.group {
				a.addRows(sums[h*size:][:size], rows, s.p[h*stride+j:][:min(kernels.BlockTokens, keys-j)])
			}
		}
		for i, sum := range sums {
			y[i] += sum
		}
	}
}

// addRows: y += p[i] * row i, i ascending.
func (a *attend) addRows(y, rows, p []float32) {
	n := len(y)
	for ; len(p) >= 4; p, rows = p[4:], rows[4*n:] {
		a.lib.loops.axpy4(y, rows, rows[n:], rows[2*n:], rows[3*n:], (*[4]float32)(p))
	}
	for i, x := range p {
		a.lib.loops.axpy1(y, rows[i*n:], x)
	}
}

// sumKeys adds attention weights: lane sums within blocks of keys, blocks left to right.
func sumKeys(p []float32) float32 {
	sum := float32(0)
	for lo := 0; lo < len(p); lo += kernels.BlockKeys {
		var lanes [kernels.Lanes]float32
		for j, v := range p[lo:min(lo+kernels.BlockKeys, len(p))] {
			lanes[j%kernels.Lanes] += v
		}
		sum += ref.FoldLanes(&lanes)
	}
	return sum
}
