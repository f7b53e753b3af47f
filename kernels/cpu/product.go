package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// vectors are rows of a buffer: row i is data[at(i)*width:][:width] with at(i) = index[i], or i without
// an index.
type vectors struct {
	data  []float32
	width int
	index []int32
}

func (v *vectors) row(i int) []float32 {
	if v.index != nil {
		i = int(v.index[i])
	}
	return v.data[i*v.width:][:v.width]
}

// product multiplies rows with one or more weights that share their input, y = x · w. The op that owns
// it sets ys, calls begin, and lets the pool call compute for tiles of rows and columns.
type product struct {
	lib     *library
	arith   kernels.Arith
	weights []*kernels.Weight
	x       vectors
	n       int       // rows
	ys      []vectors // [weights]
	quants  []quantRows
	quantOf []int // [weights] whose quants a weight uses: the first with as many scale groups
	quant   quantiser
}

func newProduct(lib *library, arith kernels.Arith, weights []*kernels.Weight) *product {
	p := &product{lib: lib, arith: arith, weights: weights}
	p.ys, p.quants, p.quantOf = make([]vectors, len(weights)), make([]quantRows, len(weights)), make([]int, len(weights))
	p.quant.p = p
	for i, w := range weights {
		p.ys[i].width = w.Out
		for p.weights[p.quantOf[i]].Groups != w.Groups {
			p.quantOf[i]++
		}
	}
	return p
}

// begin takes n rows of x and quantises them where weights want it.
func (p *product) begin(x vectors, n int) {
	p.x, p.n = x, n
	if p.arith != kernels.Int8 {
		return
	}
	cost := 0
	for i, w := range p.weights {
		if p.quantOf[i] == i && w.Quantised() {
			p.quants[i].resize(n, w.In, w.Groups)
			cost += 2 * w.In
		}
	}
	if cost > 0 {
		p.lib.pool.run(&p.quant, ceilDiv(n, 3), 3*cost)
	}
}

// tileCols is the number of columns of a tile.
const tileCols = 2048

// tiles is the number of tiles of a weight.
func (p *product) tiles(w *kernels.Weight) int {
	return ceilDiv(w.Out, tileCols) * ceilDiv(p.n, rowTile)
}

// nanos is roughly what a tile of a weight takes.
func (p *product) nanos(w *kernels.Weight) int {
	return max(w.In*min(w.Out, tileCols)*min(p.n, rowTile)/2, 1)
}

// tile is the rows and columns of a weight's i-th tile. Tiles with the same columns follow each other,
// so that their weights are still in a cache.
func (p *product) tile(w *kernels.Weight, i int) (r0, r1, c0, c1 int) {
	down := ceilDiv(p.n, rowTile)
	r0, c0 = i%down*rowTile, i/down*tileCols
	return r0, min(r0+rowTile, p.n), c0, min(c0+tileCols, w.Out)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// compute writes one tile of the i-th weight's output.
func (p *product) compute(s *scratch, i, r0, r1, c0, c1 int) {
	w := p.weights[i]
	switch {
	case p.arith == kernels.Int8 && w.Quantised():
		p.int8(s, i, r0, r1, c0, c1)
	case w.ByOutput && !w.Quantised():
		p.byOutput(s, i, r0, r1, c0, c1)
	default:
		p.float(s, i, r0, r1, c0, c1)
	}
}

// int8: block sums in int32, times the activations' scale into the group sum, times the weights' scale
// into the output.
func (p *product) int8(s *scratch, i, r0, r1, c0, c1 int) {
	w, y, q := p.weights[i], &p.ys[i], &p.quants[p.quantOf[i]]
	cols, rows := c1-c0, r1-r0
	s.sums, s.group = grow(s.sums, rows*cols), grow(s.group, rows*cols)
	sums, group := s.sums, s.group
	clear(group)
	for r := r0; r < r1; r++ {
		clear(y.row(r)[c0:c1])
	}
	per, block := w.In/w.Groups, 0
	for g := range w.Groups {
		for lo := g * per; lo < (g+1)*per; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, (g+1)*per)
			p.lib.loops.int8Block(s, sums, q, r0, r1, lo, hi, w.Q[lo*w.Out+c0:], w.Out, cols)
			for r := range rows {
				scale, t := q.scale(r0+r, block), group[r*cols:][:cols]
				for c, v := range sums[r*cols:][:cols] {
					t[c] += float32(float32(v) * scale)
				}
			}
			block++
		}
		p.endGroup(y, group, w.Scales[g*w.Out:], r0, r1, c0, c1)
	}
}

// endGroup adds group sums times scales to the outputs and clears them. Without scales it adds the sums.
func (p *product) endGroup(y *vectors, group, scales []float32, r0, r1, c0, c1 int) {
	cols := c1 - c0
	for r := r0; r < r1; r++ {
		t, out := group[(r-r0)*cols:][:cols], y.row(r)[c0:c1]
		if scales == nil {
			for c, v := range t {
				out[c] += v
			}
			continue
		}
		for c, v := range t {
			out[c] += float32(v * scales[c0+c])
		}
	}
	clear(group)
}

// float: block sums in float32, weights widened four inputs at a time and then used for every row.
func (p *product) float(s *scratch, i, r0, r1, c0, c1 int) {
	w, y := p.weights[i], &p.ys[i]
	cols, rows := c1-c0, r1-r0
	s.block, s.group, s.wide = grow(s.block, rows*cols), grow(s.group, rows*cols), grow(s.wide, 4*tileCols)
	sums, group := s.block, s.group
	clear(group)
	for r := r0; r < r1; r++ {
		clear(y.row(r)[c0:c1])
	}
	per := w.In / max(w.Groups, 1)
	for g := range max(w.Groups, 1) {
		for lo := g * per; lo < (g+1)*per; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, (g+1)*per)
			clear(sums)
			p.floatBlock(s, w, g, lo, hi, sums, r0, r1, c0, c1)
			for j, v := range sums {
				group[j] += v
			}
		}
		var scales []float32
		if w.Quantised() && p.arith != kernels.Reference {
			scales = w.Scales[g*w.Out:]
		}
		p.endGroup(y, group, scales, r0, r1, c0, c1)
	}
}

func (p *product) floatBlock(s *scratch, w *kernels.Weight, g, lo, hi int, sums []float32, r0, r1, c0, c1 int) {
	cols := c1 - c0
	k := lo
	for ; k+4 <= hi; k += 4 {
		w0, w1 := p.wide(s, w, g, k, 0, c0, c1), p.wide(s, w, g, k+1, 1, c0, c1)
		w2, w3 := p.wide(s, w, g, k+2, 2, c0, c1), p.wide(s, w, g, k+3, 3, c0, c1)
		for r := r0; r < r1; r++ {
			x := p.x.row(r)
			p.lib.loops.axpy4(sums[(r-r0)*cols:][:cols], w0, w1, w2, w3, (*[4]float32)(x[k:]))
		}
	}
	for ; k < hi; k++ {
		w0 := p.wide(s, w, g, k, 0, c0, c1)
		for r := r0; r < r1; r++ {
			p.lib.loops.axpy1(sums[(r-r0)*cols:][:cols], w0, p.x.row(r)[k])
		}
	}
}

// wide is columns c0 to c1-1 of input k as the factors of the arithmetic; slot says which part of the
// scratch memory may hold them.
func (p *product) wide(s *scratch, w *kernels.Weight, g, k, slot, c0, c1 int) []float32 {
	dst := s.wide[slot*tileCols:][:c1-c0]
	at := k * w.Out
	switch {
	case w.Quantised() && p.arith == kernels.Reference:
		p.lib.loops.widenScaled(dst, w.Q[at+c0:at+c1], w.Scales[g*w.Out+c0:g*w.Out+c1])
	case w.Quantised():
		p.lib.loops.widen(dst, w.Q[at+c0:at+c1])
	case p.arith == kernels.Reference:
		for c, v := range w.F[at+c0 : at+c1] {
			dst[c] = tensor.RoundBF16(v)
		}
	default:
		return w.F[at+c0 : at+c1]
	}
	return dst
}
