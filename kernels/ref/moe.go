package ref

import (
	"troupe/kernels"
	"troupe/tensor"
)

// route: softmax(x · router) over all experts, float32 in every arithmetic.
func route(c *kernels.Call, f *kernels.Frame, _ kernels.Arith) {
	w, x, y := c.Weights[0], f.Bufs[c.In[0]], f.Bufs[c.Out[0]]
	for r := range f.Rows.N {
		p := y[r*w.Out : (r+1)*w.Out]
		MatVec(p, x[r*w.In:(r+1)*w.In], w, kernels.Exact)
		top := p[0]
		for _, v := range p[1:] {
			if v > top {
				top = v
			}
		}
		sum := float32(0)
		for e := range p {
			p[e] = Exp(p[e] - top)
			sum += p[e]
		}
		for e := range p {
			p[e] /= sum
		}
	}
}

// expert: part = (gelu(x·gate) * (x·up)) · down, for the rows of the frame's work. Reference rounds
// x·gate and x·up to bfloat16 and stays in float32 from there, as the reference does.
func expert(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	gate, up, down := c.Weights[0], c.Weights[1], c.Weights[2]
	x, parts := f.Bufs[c.In[0]], f.Bufs[c.Out[0]]
	g, u := make([]float32, gate.Out), make([]float32, up.Out)
	for i, r := range f.Work.Row {
		row := x[int(r)*gate.In:][:gate.In]
		MatVec(g, row, gate, a)
		MatVec(u, row, up, a)
		if a == kernels.Reference {
			roundBF16(g)
			roundBF16(u)
		}
		for j := range g {
			g[j] = Gelu(g[j]) * u[j]
		}
		MatVec(parts[int(f.Work.Dst[i])*down.Out:][:down.Out], g, down, a)
	}
}

// combine: y = sum over ranks of gate * part. Reference rounds the gates and the sum to bfloat16.
func combine(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	parts, y := f.Bufs[c.In[0]], f.Bufs[c.Out[0]]
	d := len(y) / f.Rows.N
	for r := range f.Rows.N {
		out := y[r*d : (r+1)*d]
		for i := range out {
			s := float32(0)
			for p := int(f.Pairs.Start[r]); p < int(f.Pairs.Start[r+1]); p++ {
				gate := f.Pairs.Gate[p]
				if a == kernels.Reference {
					gate = tensor.RoundBF16(gate)
				}
				s += float32(gate * parts[p*d+i])
			}
			out[i] = s
		}
		if a == kernels.Reference {
			roundBF16(out)
		}
	}
}
