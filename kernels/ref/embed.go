package ref

import (
	"troupe/kernels"
	"troupe/tensor"
)

// embed: hidden = embedding[token] * multiplier. Reference rounds the row, the multiplier and the
// product to bfloat16.
func embed(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	w, y := c.Weights[0], f.Bufs[c.Out[0]]
	d := w.In // the embedding is stored token by token: [V D]
	for r := range f.Rows.N {
		row := w.F[int(f.Rows.Token[r])*d:][:d]
		for i, v := range row {
			if a == kernels.Reference {
				y[r*d+i] = tensor.RoundBF16(tensor.RoundBF16(v) * tensor.RoundBF16(c.Multiplier))
			} else {
				y[r*d+i] = v * c.Multiplier
			}
		}
	}
}

// head: logits = (x · embedding^T) * multiplier, for the rows to draw from. Reference rounds the dot,
// the multiplier and the product to bfloat16.
func head(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	w, x, y := c.Weights[0], f.Bufs[c.In[0]], f.Bufs[c.Out[0]]
	for i, r := range f.Rows.Draw {
		out := y[i*w.Out : (i+1)*w.Out]
		MatVec(out, x[int(r)*w.In:][:w.In], w, a)
		for o := range out {
			if a == kernels.Reference {
				out[o] = tensor.RoundBF16(tensor.RoundBF16(out[o]) * tensor.RoundBF16(c.Multiplier))
			} else {
				out[o] *= c.Multiplier
			}
		}
	}
}
