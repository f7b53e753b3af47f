package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// embed: hidden = embedding[token] * multiplier.
type embed struct {
	arith kernels.Arith
	call  *kernels.Call
}

func newEmbed(_ *library, a kernels.Arith, c *kernels.Call) step { return &embed{a, c} }

func (e *embed) run(f *kernels.Frame) {
	w, y := e.call.Weights[0], f.Bufs[e.call.Out[0]]
	d := w.In
	for r := range f.Rows.N {
		in, out := w.F[int(f.Rows.Token[r])*d:][:d], y[r*d:][:d]
		if e.arith == kernels.Reference {
			m := tensor.RoundBF16(e.call.Multiplier)
			for i, v := range in {
				out[i] = tensor.RoundBF16(tensor.RoundBF16(v) * m)
			}
			continue
		}
		for i, v := range in {
			out[i] = v * e.call.Multiplier
		}
	}
}

// head: logits = (x · embedding^T) * multiplier, for the rows to draw from.
type head struct {
	*product
	call *kernels.Call
}

func newHead(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &head{newProduct(lib, a, c.Weights), c}
}

func (h *head) run(f *kernels.Frame) {
	w := h.weights[0]
	h.ys[0].data = f.Bufs[h.call.Out[0]]
	h.begin(vectors{data: f.Bufs[h.call.In[0]], width: w.In, index: f.Rows.Draw}, len(f.Rows.Draw))
	h.lib.pool.run(h, h.tiles(0), h.nanos(0))
}

func (h *head) do(worker, lo, hi int) {
	for t := lo; t < hi; t++ {
		r0, r1, c0, c1 := h.tile(0, t)
		h.compute(&h.lib.scratch[worker], 0, r0, r1, c0, c1)
		for r := r0; r < r1; r++ {
			out := h.ys[0].row(r)[c0:c1]
			if h.arith == kernels.Reference {
				m := tensor.RoundBF16(h.call.Multiplier)
				for o, v := range out {
					out[o] = tensor.RoundBF16(tensor.RoundBF16(v) * m)
				}
				continue
			}
			for o := range out {
				out[o] *= h.call.Multiplier
			}
		}
	}
}
