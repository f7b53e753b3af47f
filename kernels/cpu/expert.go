package cpu

import "troupe/kernels"

// expert: part = (gelu(x·gate) * (x·up)) · down, for the rows of the frame's work.
type expert struct {
	gateUp *product // both in one pass over x
	down   *product
	call   *kernels.Call
	hidden [2][]float32 // [rows F] each: x·gate, then the product of both; x·up
	second downJob
}

func newExpert(lib *library, a kernels.Arith, c *kernels.Call) step {
	e := &expert{gateUp: newProduct(lib, a, c.Weights[:2]), down: newProduct(lib, a, c.Weights[2:]), call: c}
	e.second = downJob{e.down}
	return e
}

func (e *expert) run(f *kernels.Frame) {
	gate, down := e.gateUp.weights[0], e.down.weights[0]
	n := len(f.Work.Row)
	for i := range e.hidden {
		e.hidden[i] = atLeast(e.hidden[i], n*gate.Out)
		e.gateUp.ys[i].data = e.hidden[i]
	}
	e.gateUp.begin(vectors{data: f.Bufs[e.call.In[0]], width: gate.In, index: f.Work.Row}, n)
	e.gateUp.lib.pool.run(e, e.gateUp.tiles(0), 2*e.gateUp.nanos(0))

	e.down.ys[0].data, e.down.ys[0].index = f.Bufs[e.call.Out[0]], f.Work.Dst
	e.down.begin(vectors{data: e.hidden[0], width: down.In}, n)
	e.down.lib.pool.run(&e.second, e.down.tiles(0), e.down.nanos(0))
}

// do computes tiles of x·gate and x·up and puts gelu(x·gate) * (x·up) in the first one's place.
func (e *expert) do(worker, lo, hi int) {
	p := e.gateUp
	for t := lo; t < hi; t++ {
		r0, r1, c0, c1 := p.tile(0, t)
		p.compute(&p.lib.scratch[worker], 0, r0, r1, c0, c1)
		p.compute(&p.lib.scratch[worker], 1, r0, r1, c0, c1)
		for r := r0; r < r1; r++ {
			g, u := p.ys[0].row(r)[c0:c1], p.ys[1].row(r)[c0:c1]
			if p.arith == kernels.Reference {
				p.lib.loops.roundBF16(g)
				p.lib.loops.roundBF16(u)
			}
			p.lib.loops.geluUp(g, u)
		}
	}
}

// downJob multiplies with the down matrix.
type downJob struct{ *product }

func (j *downJob) do(worker, lo, hi int) {
	for t := lo; t < hi; t++ {
		r0, r1, c0, c1 := j.tile(0, t)
		j.compute(&j.lib.scratch[worker], 0, r0, r1, c0, c1)
	}
}
