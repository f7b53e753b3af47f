package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// float computes a tile of a matrix stored input by input: block sums in float32. Four inputs' weights
// at a time become float32 and are then used for every row.
func (p *product) float(s *scratch, i, r0, r1, c0, c1 int) {
	w, y := p.weights[i], &p.ys[i]
	cols, rows := c1-c0, r1-r0
	sums, group := s.block[:rows*cols], s.group[:rows*cols]
	clear(group)
	clearOutput(y, r0, r1, c0, c1)
	groups := max(w.Groups, 1)
	per := w.In / groups
	for g := range groups {
		for lo := g * per; lo < (g+1)*per; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, (g+1)*per)
			clear(sums)
			var q []int8
			var stride int
			if w.Quantised() {
				q, stride = rowsOf(s, w, lo, hi, c0, c1)
			}
			if rows <= fewRows && w.Quantised() && p.arith != kernels.Reference {
				for r := r0; r < r1; r++ {
					p.int8Row(sums[(r-r0)*cols:][:cols], q, stride, p.x.row(r)[lo:hi])
				}
			} else {
				p.floatRows(sums, s.wide, w, q, stride, g, lo, hi, r0, r1, c0, c1)
			}
			for j, v := range sums {
				group[j] += v
			}
		}
		var scales []float32
		if w.Quantised() && p.arith != kernels.Reference {
			scales = w.Scales[g*w.Out+c0:]
		}
		endGroup(y, group, scales, r0, r1, c0, c1)
	}
}

// int8Row adds the inputs x of one row to sums, int8 weights taken as they are: for few rows it does not
// pay to store them as float32. Input k's weights begin at q[k*stride].
func (p *product) int8Row(sums []float32, q []int8, stride int, x []float32) {
	k, cols := 0, len(sums)
	for ; k+4 <= len(x); k += 4 {
		at := q[k*stride:]
		axpy4int8(sums, at, at[stride:], at[2*stride:], at[3*stride:], (*[4]float32)(x[k:]))
	}
	for ; k < len(x); k++ {
		for c, v := range q[k*stride:][:cols] {
			sums[c] += float32(x[k] * float32(v))
		}
	}
}

// floatRows adds inputs lo to hi-1 of scale group g to the block sums of rows r0 to r1-1; wide is scratch
// memory [4 columns], and int8 weights begin at q[(k-lo)*stride].
func (p *product) floatRows(sums, wide []float32, w *kernels.Weight, q []int8, stride, g, lo, hi, r0, r1, c0, c1 int) {
	cols := c1 - c0
	factors := func(i, k int) []float32 {
		var row []int8
		if q != nil {
			row = q[(k-lo)*stride:][:cols]
		}
		return p.factors(wide[i*cols:], w, row, g, k, c0, c1)
	}
	k := lo
	for ; k+4 <= hi; k += 4 {
		w0, w1, w2, w3 := factors(0, k), factors(1, k+1), factors(2, k+2), factors(3, k+3)
		for r := r0; r < r1; r++ {
			p.lib.loops.axpy4(sums[(r-r0)*cols:][:cols], w0, w1, w2, w3, (*[4]float32)(p.x.row(r)[k:]))
		}
	}
	for ; k < hi; k++ {
		w0 := factors(0, k)
		for r := r0; r < r1; r++ {
			p.lib.loops.axpy1(sums[(r-r0)*cols:][:cols], w0, p.x.row(r)[k])
		}
	}
}

// factors is columns c0 to c1-1 of input k as the arithmetic multiplies with them: in place, or in dst.
// q is their int8 values, where they have them.
func (p *product) factors(dst []float32, w *kernels.Weight, q []int8, g, k, c0, c1 int) []float32 {
	dst = dst[:c1-c0]
	lo, hi := k*w.Out+c0, k*w.Out+c1
	switch {
	case w.Quantised() && p.arith == kernels.Reference:
		widenScaled(dst, q, w.Scales[g*w.Out+c0:g*w.Out+c1])
	case w.Quantised():
		widen(dst, q)
	case p.arith == kernels.Reference:
		for c, v := range w.F[lo:hi] {
			dst[c] = tensor.RoundBF16(v)
		}
	default:
		return w.F[lo:hi]
	}
	return dst
}
