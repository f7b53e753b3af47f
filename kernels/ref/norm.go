package ref

import "troupe/kernels"

// rmsNorm: y = scale * (x * 1/sqrt(mean(x*x) + eps)); Reference rounds y to bfloat16.
func rmsNorm(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	x, y, scale := f.Bufs[c.In[0]], f.Bufs[c.Out[0]], c.Weights[0].F
	d := len(scale)
	for r := range f.Rows.N {
		in, out := x[r*d:(r+1)*d], y[r*d:(r+1)*d]
		var lanes [kernels.Lanes]float32
		for i, v := range in {
			lanes[i%kernels.Lanes] += float32(v * v)
		}
		norm := InvSqrt(FoldLanes(&lanes)/float32(d) + c.Eps)
		for i, v := range in {
			out[i] = scale[i] * float32(v*norm)
		}
		if a == kernels.Reference {
			roundBF16(out)
		}
	}
}

// FoldLanes adds lane sums by halves (kernels/order.go).
func FoldLanes(lanes *[kernels.Lanes]float32) float32 {
	l := *lanes
	for n := kernels.Lanes / 2; n > 0; n /= 2 {
		for j := range n {
			l[j] += l[j+n]
		}
	}
	return l[0]
}

// add: y = a + b; Reference rounds to bfloat16.
func add(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	p, q, y := f.Bufs[c.In[0]], f.Bufs[c.In[1]], f.Bufs[c.Out[0]]
	for i := range y {
		y[i] = p[i] + q[i]
	}
	if a == kernels.Reference {
		roundBF16(y)
	}
}
