package cpu

import (
	"unsafe"

	"troupe/kernels"
)

// attend stores the rows' keys and values, then weighs the values of the keys that each row may see. An
// item is a run of rows of one sequence and a run of query heads that share a key head: they read the
// cache together.
type attend struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
	group int            // query heads of an item
	runs  []span         // rows of an item
	store storeJob
}

// span is rows or keys lo to hi-1.
type span struct{ lo, hi int }

// Rows of an item, at most, and what their attention weights may take: they should stay in a cache.
const (
	attendRows    = 8
	attendWeights = 64 << 10

	// For so few queries a block of bfloat16 is widened while it is read, for more once before.
	fewQueries = 8
)

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
	a.lib.reserve(sizes{half: c.KeySize})
	a.lib.pool.run(&a.store, n, 3*c.KVHeads*c.KeySize)
	// Heads of a group share the keys that they read; few rows have them on all threads instead.
	a.group = c.Heads / c.KVHeads
	for a.group%2 == 0 && a.lib.pool.threads > 1 && n*c.Heads/a.group < a.lib.pool.threads {
		a.group /= 2
	}
	keys := a.cutRows()
	longest, most := 0, 0
	for _, run := range a.runs {
		longest, most = max(longest, a.longest(run)), max(most, run.hi-run.lo)
	}
	heads := most * a.group
	a.lib.reserve(sizes{
		p: heads * padded(longest), wide: c.KeySize * kernels.BlockTokens, block: heads * c.KeySize, group: heads,
	})
	items := len(a.runs) * c.Heads / a.group
	a.lib.pool.run(a, items, keys*c.Heads*(c.KeySize+8)/items/4)
	a.frame = nil
}

// cutRows makes runs of neighbouring rows of one sequence, and returns the number of keys that all rows
// look at.
func (a *attend) cutRows() (keys int) {
	rows := &a.frame.Rows
	a.runs = a.runs[:0]
	for r := range rows.N {
		n := a.keys(r)
		keys += n
		if last := len(a.runs) - 1; last >= 0 && r > 0 && rows.Seq[r] == rows.Seq[r-1] {
			run := &a.runs[last]
			if size := r - run.lo; size < attendRows && (size+1)*a.group*padded(max(n, a.longest(*run))) <= attendWeights {
				run.hi = r + 1
				continue
			}
		}
		a.runs = append(a.runs, span{r, r + 1})
	}
	return keys
}

// keys is the number of positions, from 0 on, that row r looks at.
func (a *attend) keys(r int) int {
	if n := int(a.frame.Rows.Keyless[r]); n > 0 {
		return n
	}
	return int(a.frame.Rows.Pos[r]) + 1
}

// longest is the number of positions that some row of a run looks at.
func (a *attend) longest(run span) int {
	n := 0
	for r := run.lo; r < run.hi; r++ {
		n = max(n, a.keys(r))
	}
	return n
}

// padded is a number of keys rounded up to whole cache blocks.
func padded(keys int) int { return ceilDiv(keys, kernels.BlockTokens) * kernels.BlockTokens }

func (a *attend) do(worker, lo, hi int) {
	groups := a.call.Heads / a.group
	for t := lo; t < hi; t++ {
		a.heads(&a.lib.scratch[worker], a.runs[t/groups], t%groups*a.group)
	}
}

// heads computes group query heads, from head first on, of a run of rows.
func (a *attend) heads(s *scratch, run span, first int) {
	c, rows := a.call, &a.frame.Rows
	size, longest := c.KeySize, a.longest(run)
	view := view{a.lib.loops, a.frame.Cache, &a.frame.Cache.Layers[c.Layer], rows.Tables[rows.Seq[run.lo]], first / (c.Heads / c.KVHeads)}
	stride := padded(longest) // of the weights of a head; heads follow each other row by row

	few := (run.hi-run.lo)*a.group <= fewQueries
	clear(s.p[:(run.hi-run.lo)*a.group*stride])
	for j := 0; j < longest; j += kernels.BlockTokens {
		k := view.keys(s.wide, j, few)
		for r := run.lo; r < run.hi; r++ {
			if j < a.keys(r) && rows.Keyless[r] == 0 {
				a.scores(s, s.p[(r-run.lo)*a.group*stride+j:], stride, a.at(c.In[0], r, first), k)
			}
		}
	}
	for r := run.lo; r < run.hi; r++ {
		for h := range a.group {
			i := (r-run.lo)*a.group + h
			p := s.p[i*stride:][:a.keys(r)]
			a.weigh(p, r)
			s.group[i] = a.sumKeys(p)
			if a.arith == kernels.Reference {
				a.lib.loops.div(p, s.group[i])
				a.lib.loops.roundBF16(p)
			}
		}
	}
	a.values(s, run, first, &view, longest, stride)
	for r := run.lo; r < run.hi; r++ {
		y := a.at(c.Out[0], r, first)
		for h := range a.group {
			out := y[h*size:][:size]
			if a.arith == kernels.Reference {
				a.lib.loops.roundBF16(out)
			} else {
				a.lib.loops.div(out, s.group[(r-run.lo)*a.group+h])
			}
		}
	}
}

// at is group heads of a row in a buffer, from head first on.
func (a *attend) at(slot kernels.Slot, r, first int) []float32 {
	return a.frame.Bufs[slot][(r*a.call.Heads+first)*a.call.KeySize:][:a.group*a.call.KeySize]
}

// scores adds the dots of group queries with a block of keys to p, whose heads are stride apart.
func (a *attend) scores(s *scratch, p []float32, stride int, q []float32, k cacheBlock) {
	size := a.call.KeySize
	if a.lib.loops.panels == nil {
		for h := range a.group {
			scores((*[kernels.BlockTokens]float32)(p[h*stride:]), q[h*size:][:size], k.full)
		}
		return
	}
	s.float = floatArgs{k: size, tiles: 1}
	a.multiply(s, k, kernels.BlockTokens, q, size, p, stride)
}

// multiply adds the product of each head's x with a block of the cache [k][cols] to its sums, k and tiles of
// s.float as set; heads of x and of sums are so many elements apart.
func (a *attend) multiply(s *scratch, block cacheBlock, cols int, x []float32, xStep int, sums []float32, sumStep int) {
	f := &s.float
	loops := block.rows(a.lib.loops.panels, f, cols)
	f.sumStep = 4 * sumStep
	for h := 0; h < a.group; {
		for loops[0].rows > a.group-h {
			loops = loops[1:]
		}
		f.sums = &sums[h*sumStep]
		for i := range loops[0].rows {
			f.x[i] = &x[(h+i)*xStep]
		}
		loops[0].run((*byte)(unsafe.Pointer(f)))
		h += loops[0].rows
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
	for left := p[first:]; len(left) > 0; {
		seen := left[:min(len(left), vectorMax)]
		if a.arith == kernels.Reference {
			a.lib.loops.roundBF16(seen)
		}
		a.lib.loops.weigh(seen, c.Multiplier, c.Cap)
		left = left[len(seen):]
	}
	if rows.Prompt[r] {
		for _, pos := range rows.Skip[rows.Seq[r]] {
			if int(pos) < len(p) {
				p[pos] = 0
			}
		}
	}
}

// sumKeys adds attention weights: lane sums within blocks of keys, blocks left to right.
func (a *attend) sumKeys(p []float32) float32 {
	sum := float32(0)
	for lo := 0; lo < len(p); lo += kernels.BlockKeys {
		sum += a.lib.loops.sumLanes(p[lo:min(lo+kernels.BlockKeys, len(p))])
	}
	return sum
}

// values: y = sum of p v for each row and head, in blocks of keys.
func (a *attend) values(s *scratch, run span, first int, v *view, longest, stride int) {
	width := a.group * a.call.KeySize
	sums := s.block[:(run.hi-run.lo)*width]
	few := (run.hi-run.lo)*a.group <= fewQueries && a.call.KeySize%panelCols == 0
	for r := run.lo; r < run.hi; r++ {
		clear(a.at(a.call.Out[0], r, first))
	}
	for lo := 0; lo < longest; lo += kernels.BlockKeys {
		clear(sums)
		for j := lo; j < min(lo+kernels.BlockKeys, longest); j += kernels.BlockTokens {
			rows := v.values(s.wide, j, few)
			for r := run.lo; r < run.hi; r++ {
				if n := min(kernels.BlockTokens, a.keys(r)-j); n > 0 {
					i := r - run.lo
					a.addRows(s, sums[i*width:][:width], rows, s.p[i*a.group*stride+j:], stride, n)
				}
			}
		}
		for r := run.lo; r < run.hi; r++ {
			if lo < a.keys(r) {
				a.lib.loops.addTo(a.at(a.call.Out[0], r, first), sums[(r-run.lo)*width:])
			}
		}
	}
}

// addRows: y[h] += p[h][i] * rows[i] for i = 0 to n-1 and group heads; their weights are stride apart.
func (a *attend) addRows(s *scratch, y []float32, v cacheBlock, p []float32, stride, n int) {
	size, whole := a.call.KeySize, 0
	if a.lib.loops.panels != nil && size >= panelCols {
		whole = size / panelCols * panelCols
		s.float = floatArgs{k: n, tiles: size / panelCols}
		a.multiply(s, v, size, p, stride, y, size)
	}
	if whole == size {
		return
	}
	rows := v.full
	for h := range a.group {
		out, p := y[h*size+whole:(h+1)*size], p[h*stride:][:n]
		i := 0
		for ; i+4 <= n; i += 4 {
			w := rows[i*size+whole:]
			a.lib.loops.axpy4(out, w, w[size:], w[2*size:], w[3*size:], (*[4]float32)(p[i:]))
		}
		for ; i < n; i++ {
			a.lib.loops.axpy1(out, rows[i*size+whole:], p[i])
		}
	}
}
