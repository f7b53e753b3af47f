package cpu

import "troupe/kernels"

// byOutput computes a tile of a float32 matrix stored output by output. A sum must follow its order, so
// that only several sums at a time keep the adders busy: dotOutputs outputs meet each row together.
func (p *product) byOutput(s *scratch, i, r0, r1, c0, c1 int) {
	w, y := p.weights[i], &p.ys[i]
	for o := c0; o < c1; o += dotOutputs {
		n := min(dotOutputs, c1-o)
		for r := r0; r < r1; r++ {
			clear(y.row(r)[o : o+n])
		}
		for lo := 0; lo < w.In; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, w.In)
			block, stride := p.outputs(s.wide, w, o, n, lo, hi)
			for r := r0; r < r1; r++ {
				dots(s.block, block, stride, p.x.row(r)[lo:hi])
				out := y.row(r)[o : o+n]
				for j := range out {
					out[j] += s.block[j]
				}
			}
		}
	}
}

// outputs is inputs lo to hi-1 of n outputs from o on: in place, or in dst where they are rounded or too
// few. What dst holds beyond n outputs is multiplied as well, and not used.
func (p *product) outputs(dst []float32, w *kernels.Weight, o, n, lo, hi int) (block []float32, stride int) {
	if n == dotOutputs && p.arith != kernels.Reference {
		return w.F[o*w.In+lo:], w.In
	}
	stride = hi - lo
	for j := range n {
		row := dst[j*stride:][:stride]
		copy(row, w.F[(o+j)*w.In+lo:])
		if p.arith == kernels.Reference {
			roundBF16(row)
		}
	}
	return dst, stride
}
