package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// embed: hidden = embedding[token] * multiplier.
type embed struct {
	loops *loops
	arith kernels.Arith
	call  *kernels.Call
}

func newEmbed(lib *library, a kernels.Arith, c *kernels.Call) step { return &embed{lib.loops, a, c} }

func (e *embed) run(f *kernels.Frame) {
	w, y := e.call.Weights[0], f.Bufs[e.call.Out[0]]
	d := w.In
	for r := range f.Rows.N {
		in, out := w.F[int(f.Rows.Token[r])*d:][:d], y[r*d:][:d]
		copy(out, in)
		multiply(e.loops, e.arith, out, e.call.Multiplier)
	}
}

// multiply: y = y * m; Reference rounds each to bfloat16.
func multiply(l *loops, a kernels.Arith, y []float32, m float32) {
	if a != kernels.Reference {
		l.mul(y, m)
		return
	}
	l.roundBF16(y)
	l.mul(y, tensor.RoundBF16(m))
	l.roundBF16(y)
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
			multiply(h.lib.loops, h.arith, h.ys[0].row(r)[c0:c1], h.call.Multiplier)
		}
	}
}
