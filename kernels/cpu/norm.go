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
	scale := n.call.Weights[0].F
	d := len(scale)
	for r := lo; r < hi; r++ {
		in, out := n.x[r*d:][:d], n.y[r*d:][:d]
		norm := ref.InvSqrt(sumSquares(in)/float32(d) + n.call.Eps)
		for i, v := range in {
			out[i] = scale[i] * float32(v*norm)
		}
		if n.arith == kernels.Reference {
			roundBF16(out)
		}
	}
}

// sumSquares is a lane sum (kernels/order.go), four lanes at a time.
func sumSquares(x []float32) float32 {
	const n = kernels.Lanes
	var lanes [n]float32
	whole := len(x) / n * n
	for j := 0; j < n; j += 4 {
		var s0, s1, s2, s3 float32
		for i := j; i+4 <= whole; i += n {
			v := (*[4]float32)(x[i:])
			s0 += float32(v[0] * v[0])
			s1 += float32(v[1] * v[1])
			s2 += float32(v[2] * v[2])
			s3 += float32(v[3] * v[3])
		}
		lanes[j], lanes[j+1], lanes[j+2], lanes[j+3] = s0, s1, s2, s3
	}
	for i, v := range x[whole:] {
		lanes[i] += float32(v * v)
	}
	return ref.FoldLanes(&lanes)
}
