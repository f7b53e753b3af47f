package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// byOutput multiplies with a float32 matrix stored output by output, eight outputs at a time.
func (p *product) byOutput(s *scratch, i, r0, r1, c0, c1 int) {
	w, y := p.weights[i], &p.ys[i]
	s.wide = grow(s.wide, 8*kernels.BlockRows)
	s.group = grow(s.group, 8*rowTile)
	for o := c0; o < c1; o += 8 {
		n := min(8, c1-o)
		group := s.group[:8*(r1-r0)]
		clear(group)
		for lo := 0; lo < w.In; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, w.In)
			block, stride := p.outputs(s, w, o, n, lo, hi)
			for r := r0; r < r1; r++ {
				var sum [8]float32
				p.lib.loops.dot8(&sum, block, stride, p.x.row(r)[lo:hi])
				t := (*[8]float32)(group[8*(r-r0):])
				for j, v := range sum {
					t[j] += v
				}
			}
		}
		for r := r0; r < r1; r++ {
			for j, v := range group[8*(r-r0):][:n] {
				y.row(r)[o+j] = v
			}
		}
	}
}

// outputs is inputs lo to hi-1 of n outputs from o on: in place, or in scratch memory where they are
// rounded or fewer than eight.
func (p *product) outputs(s *scratch, w *kernels.Weight, o, n, lo, hi int) (block []float32, stride int) {
	if n == 8 && p.arith != kernels.Reference {
		return w.F[o*w.In+lo:], w.In
	}
	stride = hi - lo
	for j := range n {
		dst := s.wide[j*stride:][:stride]
		copy(dst, w.F[(o+j)*w.In+lo:])
		if p.arith == kernels.Reference {
			for k, v := range dst {
				dst[k] = tensor.RoundBF16(v)
			}
		}
	}
	clear(s.wide[n*stride : 8*stride])
	return s.wide, stride
}
