package cpu

import (
	"troupe/kernels"
	"troupe/kernels/ref"
)

// norm: y = scale * (x / sqrt(mean(x*x) + eps)), row by row.
type norm struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	x, y  []float32 // of the frame at hand
}

func newNorm(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &norm{lib: lib, arith: a, call: c}
}

func (n *norm) run(f *kernels.Frame) {
	n.x, n.y = f.Bufs[n.call.In[0]], f.Bufs[n.call.Out[0]]
	n.lib.pool.run(n, f.Rows.N, 2*len(n.call.Weights[0].F))
}

func (n *norm) do(_, lo, hi int) {
	scale, loops := n.call.Weights[0].F, n.lib.loops
	d := len(scale)
	for r := lo; r < hi; r++ {
		in, out := n.x[r*d:][:d], n.y[r*d:][:d]
		loops.norm(out, in, scale, ref.InvSqrt(loops.sumSquares(in)/float32(d)+n.call.Eps))
		if n.arith == kernels.Reference {
			loops.roundBF16(out)
		}
	}
}
