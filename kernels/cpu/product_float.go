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
			if rows <= fewRows && w.Quantised() && p.arith != kernels.Reference {
				for r := r0; r < r1; r++ {
					p.int8Row(sums[(r-r0)*cols:][:cols], w, p.x.row(r), lo, hi, c0)
				}
			} else {
				p.floatRows(sums, s.wide, w, g, lo, hi, r0, r1, c0, c1)
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

// int8Row adds inputs lo to hi-1 of one row to sums, int8 weights taken as they are: for few rows it does
// not pay to store them as float32.
func (p *product) int8Row(sums []float32, w *kernels.Weight, x []float32, lo, hi, c0 int) {
	k, cols := lo, len(sums)
	for ; k+4 <= hi; k += 4 {
		at := w.Q[k*w.Out+c0:]
		p.lib.loops.axpy4int8(sums, at, at[w.Out:], at[2*w.Out:], at[3*w.Out:], (*[4]float32)(x[k:]))
	}
	for ; k < hi; k++ {
		for c, v := range w.Q[k*w.Out+c0:][:cols] {
			sums[c] += float32(x[k] * float32(v))
		}
	}
}

// floatRows adds inputs lo to hi-1 of scale group g to the block sums of rows r0 to r1-1; wide is scratch
// memory [4 columns].
func (p *product) floatRows(sums, wide []float32, w *kernels.Weight, g, lo, hi, r0, r1, c0, c1 int) {
	cols := c1 - c0
	k := lo
	for ; k+4 <= hi; k += 4 {
		w0, w1 := p.factors(wide, w, g, k, c0, c1), p.factors(wide[cols:], w, g, k+1, c0, c1)
		w2, w3 := p.factors(wide[2*cols:], w, g, k+2, c0, c1), p.factors(wide[3*cols:], w, g, k+3, c0, c1)
		for r := r0; r < r1; r++ {
			p.lib.loops.axpy4(sums[(r-r0)*cols:][:cols], w0, w1, w2, w3, (*[4]float32)(p.x.row(r)[k:]))
		}
	}
	for ; k < hi; k++ {
		w0 := p.factors(wide, w, g, k, c0, c1)
		for r := r0; r < r1; r++ {
			p.lib.loops.axpy1(sums[(r-r0)*cols:][:cols], w0, p.x.row(r)[k])
		}
	}
}

// factors is columns c0 to c1-1 of input k as the arithmetic multiplies with them: in place, or in dst.
func (p *product) factors(dst []float32, w *kernels.Weight, g, k, c0, c1 int) []float32 {
	dst = dst[:c1-c0]
	lo, hi := k*w.Out+c0, k*w.Out+c1
	switch {
	case w.Quantised() && p.arith == kernels.Reference:
		p.lib.loops.widenScaled(dst, w.Q[lo:hi], w.Scales[g*w.Out+c0:g*w.Out+c1])
	case w.Quantised():
		p.lib.loops.widen(dst, w.Q[lo:hi])
	case p.arith == kernels.Reference:
		for c, v := range w.F[lo:hi] {
			dst[c] = tensor.RoundBF16(v)
		}
	default:
		return w.F[lo:hi]
	}
	return dst
}
