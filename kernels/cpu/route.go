package cpu

import "troupe/kernels"

// route: softmax(x · router) over all experts, float32 in every arithmetic.
type route struct {
	*product
	call *kernels.Call
}

func newRoute(lib *library, _ kernels.Arith, c *kernels.Call) step {
	return &route{newProduct(lib, kernels.Exact, c.Weights), c}
}

func (o *route) run(f *kernels.Frame) {
	w := o.weights[0]
	o.ys[0].data = f.Bufs[o.call.Out[0]]
	o.begin(vectors{data: f.Bufs[o.call.In[0]], width: w.In}, f.Rows.N)
	o.lib.pool.run(o, ceilDiv(o.n, rowTile), w.In*w.Out*rowTile/3)
}

// do takes tiles of rows: a softmax needs all columns.
func (o *route) do(worker, lo, hi int) {
	w := o.weights[0]
	for t := lo; t < hi; t++ {
		r0, r1 := t*rowTile, min((t+1)*rowTile, o.n)
		for c := 0; c < w.Out; c += narrowTile {
			o.compute(&o.lib.scratch[worker], 0, r0, r1, c, min(c+narrowTile, w.Out))
		}
		for r := r0; r < r1; r++ {
			softmax(o.lib.loops, o.ys[0].row(r))
		}
	}
}

// softmax in place; the sum is sequential.
func softmax(l *loops, p []float32) {
	top := p[0]
	for _, v := range p[1:] {
		if v > top {
			top = v
		}
	}
	l.expMinus(p, top)
	sum := float32(0)
	for _, v := range p {
		sum += v
	}
	l.div(p, sum)
}
