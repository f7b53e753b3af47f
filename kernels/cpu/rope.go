package cpu

import "troupe/kernels"

// rope rotates the halves of each head of queries and keys by the row's position.
type rope struct {
	lib   *library
	arith kernels.Arith
	call  *kernels.Call
	frame *kernels.Frame // at hand
}

func newRope(lib *library, a kernels.Arith, c *kernels.Call) step {
	return &rope{lib: lib, arith: a, call: c}
}

func (p *rope) run(f *kernels.Frame) {
	p.frame = f
	p.lib.pool.run(p, f.Rows.N, 2*(p.call.Heads+p.call.KVHeads)*p.call.KeySize)
	p.frame = nil
}

func (p *rope) do(_, lo, hi int) {
	for r := lo; r < hi; r++ {
		p.rotate(r, p.call.Heads, p.frame.Bufs[p.call.In[0]], p.frame.Bufs[p.call.Out[0]])
		p.rotate(r, p.call.KVHeads, p.frame.Bufs[p.call.In[1]], p.frame.Bufs[p.call.Out[1]])
	}
}

// rotate turns one row's heads.
func (p *rope) rotate(r, heads int, x, y []float32) {
	size, half := p.call.KeySize, p.call.KeySize/2
	pos := int(p.frame.Rows.Pos[r])
	cos, sin := p.call.Rope.Cos[pos*half:][:half], p.call.Rope.Sin[pos*half:][:half]
	for h := range heads {
		in, out := x[(r*heads+h)*size:][:size], y[(r*heads+h)*size:][:size]
		a, b, ya, yb := in[:half], in[half:][:half], out[:half], out[half:][:half]
		p.lib.loops.rotate(ya, yb, a, b, cos, sin)
		if p.arith == kernels.Reference {
			p.lib.loops.roundBF16(out)
		}
	}
}
