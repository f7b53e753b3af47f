package cpu

import (
	"troupe/kernels"
	"troupe/kernels/ref"
	"troupe/tensor"
)

// attend stores the rows' keys and values, then weighs the values of the keys that each row may see.
// A task is one row and one key head, with all query heads that share it.
type attend struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
	store storeJob
}

func newAttend(lib *library, a kernels.Arith, c *kernels.Call) step {
	t := &attend{lib: lib, arith: a, call: c}
	t.store.attend = t
	return t
}

func (a *attend) run(f *kernels.Frame) {
	a.frame = f
	a.lib.pool.run(&a.store, f.Rows.N, 4*a.call.KVHeads*a.call.KeySize)
	keys := 0
	for r := range f.Rows.N {
		keys += a.keys(r)
	}
	if f.Rows.N > 0 {
		perKey := a.call.Heads / a.call.KVHeads * (a.call.KeySize + 10)
		a.lib.pool.run(a, f.Rows.N*a.call.KVHeads, keys/f.Rows.N*perKey)
	}
	a.frame = nil
}

// keys is the number of positions, from 0 on, that row r looks at.
func (a *attend) keys(r int) int {
	if n := int(a.frame.Rows.Keyless[r]); n > 0 {
		return n
	}
	return int(a.frame.Rows.Pos[r]) + 1
}

// storeJob writes rows' keys and values to the cache.
type storeJob struct{ *attend }

func (j *storeJob) do(_, lo, hi int) {
	f := j.frame
	for r := lo; r < hi; r++ {
		ref.StoreKV(f.Cache, j.call.Layer, &f.Rows, r, f.Bufs[j.call.In[1]], f.Bufs[j.call.In[2]])
	}
}

func (a *attend) do(worker, lo, hi int) {
	for t := lo; t < hi; t++ {
		a.task(&a.lib.scratch[worker], t/a.call.KVHeads, t%a.call.KVHeads)
	}
}

// task computes the query heads of one row that share a key head.
func (a *attend) task(s *scratch, r, kvHead int) {
	c, rows := a.call, &a.frame.Rows
	group, size, keys := c.Heads/c.KVHeads, c.KeySize, a.keys(r)
	table := rows.Tables[rows.Seq[r]]
	padded := ceilDiv(keys, kernels.BlockTokens) * kernels.BlockTokens
	s.p, s.wide = grow(s.p, group*padded), grow(s.wide, size*kernels.BlockTokens)
	first := (r*c.Heads + kvHead*group) * size
	q, y := a.frame.Bufs[c.In[0]][first:][:group*size], a.frame.Bufs[c.Out[0]][first:][:group*size]

	for b := 0; b*kernels.BlockTokens < keys; b++ {
		k := a.block(s, int(table[b]), kvHead, true)
		for h := range group {
			p := (*[kernels.BlockTokens]float32)(s.p[h*padded+b*kernels.BlockTokens:])
			a.lib.loops.scores(p, q[h*size:][:size], k)
		}
	}
	for h := range group {
		a.weigh(s.p[h*padded:][:keys], r)
	}
	a.values(s, y, r, kvHead, keys, padded)
}

// block is one head's keys or values of a cache block as float32.
func (a *attend) block(s *scratch, block, head int, key bool) []float32 {
	cache := a.frame.Cache
	l := &cache.Layers[a.call.Layer]
	n := cache.KeySize * kernels.BlockTokens
	at := block*cache.BlockSize() + head*n
	half, full := l.V16, l.V32
	if key {
		half, full = l.K16, l.K32
	}
	if !cache.Half {
		return full[at:][:n]
	}
	dst := s.wide[:n]
	for i, v := range half[at:][:n] {
		dst[i] = tensor.FromBF16(v)
	}
	return dst
}

// weigh turns one head's dots into exp(logit - cap), 0 for keys that row r may not see.
func (a *attend) weigh(p []float32, r int) {
	rows, c := &a.frame.Rows, a.call
	for j := range p {
		switch {
		case rows.Keyless[r] > 0:
			p[j] = 1
		case !ref.Visible(rows, r, j):
			p[j] = 0
		default:
			s := p[j]
			if a.arith == kernels.Reference {
				s = tensor.RoundBF16(s)
			}
			p[j] = ref.Exp(float32(c.Cap*ref.Tanh(float32(s*c.Multiplier)/c.Cap)) - c.Cap)
		}
	}
}

// values: y = sum p v / sum p for each head of the group.
func (a *attend) values(s *scratch, y []float32, r, kvHead, keys, padded int) {
	size := a.call.KeySize
	group := len(y) / size
	table := a.frame.Rows.Tables[a.frame.Rows.Seq[r]]
	s.block, s.group = grow(s.block, len(y)), grow(s.group, group)
	sums := s.group
	for h := range group {
		p := s.p[h*padded:][:keys]
		sums[h] = sumKeys(p)
		if a.arith == kernels.Reference {
			for j := range p {
				p[j] = tensor.RoundBF16(p[j] / sums[h])
			}
		}
	}
	clear(y)
	for lo := 0; lo < keys; lo += kernels.BlockKeys {
		clear(s.block)
		for j := lo; j < min(lo+kernels.BlockKeys, keys); j += kernels.BlockTokens {
			v := a.block(s, int(table[j/kernels.BlockTokens]), kvHead, false)
			for h := range group {
				p := s.p[h*padded+j:][:min(kernels.BlockTokens, keys-j)]
				for i, w := range p {
					a.lib.loops.axpy1(s.block[h*size:][:size], v[i*size:][:size], w)
				}
			}
		}
		for i, v := range s.block {
			y[i] += v
		}
	}
	for h := range group {
		for i := range y[h*size:][:size] {
			if a.arith == kernels.Reference {
				y[h*size+i] = tensor.RoundBF16(y[h*size+i])
			} else {
				y[h*size+i] /= sums[h]
			}
		}
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

// scores keeps 8 sums at a time in registers.
func scores(s *[kernels.BlockTokens]float32, q, k []float32) {
	clear(s[:])
	for d, v := range q {
		axpy1(s[:], k[d*kernels.BlockTokens:][:kernels.BlockTokens], v)
	}
}
