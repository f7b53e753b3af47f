package ref

import "troupe/kernels"

// rope rotates each head's halves (a, b) to (a cos - b sin, b cos + a sin) by the row's position;
// Reference rounds to bfloat16.
func rope(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	for i, heads := range []int{c.Heads, c.KVHeads} {
		x, y := f.Bufs[c.In[i]], f.Bufs[c.Out[i]]
		half := c.KeySize / 2
		for r := range f.Rows.N {
			pos := int(f.Rows.Pos[r])
			cos, sin := c.Rope.Cos[pos*half:], c.Rope.Sin[pos*half:]
			for h := range heads {
				at := (r*heads + h) * c.KeySize
				in, out := x[at:at+c.KeySize], y[at:at+c.KeySize]
				for j := range half {
					p, q := in[j], in[j+half]
					out[j] = float32(p*cos[j]) - float32(q*sin[j])
					out[j+half] = float32(q*cos[j]) + float32(p*sin[j])
				}
			}
		}
		if a == kernels.Reference {
			roundBF16(y)
		}
	}
}
