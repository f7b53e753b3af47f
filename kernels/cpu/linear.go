package cpu

import "troupe/kernels"

// linear: y = x · w for each weight of the call; queries, keys and values are one job.
type linear struct {
	*product
	in  kernels.Slot
	out []kernels.Slot
}

func newLinear(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &linear{newProduct(lib, a, c.Weights), c.In[0], c.Out}
}

func (l *linear) run(f *kernels.Frame) {
	for i := range l.ys {
		l.ys[i].data = f.Bufs[l.out[i]]
	}
	l.begin(vectors{data: f.Bufs[l.in], width: l.weights[0].In}, f.Rows.N)
	items, nanos := 0, 0
	for i := range l.weights {
		items += l.tiles(i)
		nanos = max(nanos, l.nanos(i))
	}
	l.lib.pool.run(l, items, nanos)
}

func (l *linear) do(worker, lo, hi int) {
	first := 0
	for i := range l.weights {
		n := l.tiles(i)
		for t := max(lo, first); t < min(hi, first+n); t++ {
			r0, r1, c0, c1 := l.tile(i, t-first)
			l.compute(&l.lib.scratch[worker], i, r0, r1, c0, c1)
			if l.arith == kernels.Reference {
				for r := r0; r < r1; r++ {
					roundBF16(l.ys[i].row(r)[c0:c1])
				}
			}
		}
		first += n
	}
}
