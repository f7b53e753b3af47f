package ref

import (
	"troupe/kernels"
	"troupe/tensor"
)

// linear: y[n N] = x[n K] · w[K N], for each weight of the call.
func linear(c *kernels.Call, f *kernels.Frame, a kernels.Arith) {
	x := f.Bufs[c.In[0]]
	for i, w := range c.Weights {
		y := f.Bufs[c.Out[i]]
		for r := range f.Rows.N {
			row := y[r*w.Out : (r+1)*w.Out]
			MatVec(row, x[r*w.In:(r+1)*w.In], w, a)
			if a == kernels.Reference {
				roundBF16(row)
			}
		}
	}
}

// MatVec is y[Out] = x[In] · w under an arithmetic, in the canonical order of kernels/order.go. Under
// Reference the weights are rounded to bfloat16 and the sums are float32: rounding the result is the
// caller's matter, since the reference does not always.
func MatVec(y, x []float32, w *kernels.Weight, a kernels.Arith) {
	switch {
	case a == kernels.Int8 && w.Quantised():
		matVecInt8(y, x, w)
	default:
		matVecFloat(y, x, w, a)
	}
}

func matVecFloat(y, x []float32, w *kernels.Weight, a kernels.Arith) {
	for o := range y {
		y[o] = 0
		t, group := float32(0), 0
		endGroup := func() {
			switch {
			case a == kernels.Reference || !w.Quantised(): // scaled already, or never
				y[o] += t
			default:
				y[o] += float32(t * w.Scales[group*w.Out+o])
			}
			t = 0
		}
		kernels.Blocks(w.In, w.Groups, func(g, lo, hi int) {
			if g != group {
				endGroup()
				group = g
			}
			s := float32(0)
			for k := lo; k < hi; k++ {
				s += float32(x[k] * weightAt(w, k, o, a))
			}
			t += s
		})
		endGroup()
	}
}

// weightAt is the factor of input k for output o. Exact takes the int8 value itself, its scale comes
// after the sum; Reference scales first and rounds to bfloat16, as the reference does.
func weightAt(w *kernels.Weight, k, o int, a kernels.Arith) float32 {
	v := float32(0)
	switch {
	case w.Quantised():
		v = float32(w.At(k, o))
		if a == kernels.Reference {
			v *= w.Scales[k/(w.In/w.Groups)*w.Out+o]
		}
	case w.ByOutput:
		v = w.F[o*w.In+k]
	default:
		v = w.F[k*w.Out+o]
	}
	if a == kernels.Reference {
		return tensor.RoundBF16(v)
	}
	return v
}

func matVecInt8(y, x []float32, w *kernels.Weight) {
	q := make([]int8, w.In)
	scales := make([]float32, kernels.NumBlocks(w.In, w.Groups))
	Quantise(q, scales, x, w.Groups)
	for o := range y {
		y[o] = 0
		t, group, block := float32(0), 0, 0
		kernels.Blocks(w.In, w.Groups, func(g, lo, hi int) {
			if g != group {
				y[o] += float32(t * w.Scales[group*w.Out+o])
				t, group = 0, g
			}
			s := int32(0)
			for k := lo; k < hi; k++ {
				s += int32(q[k]) * int32(w.At(k, o))
			}
			t += float32(float32(s) * scales[block])
			block++
		})
		y[o] += float32(t * w.Scales[group*w.Out+o])
	}
}

// Quantise writes activations as int8 with one scale per block of inputs.
func Quantise(q []int8, scales, x []float32, groups int) {
	block := 0
	kernels.Blocks(len(x), groups, func(_, lo, hi int) {
		scales[block] = kernels.QuantiseBlock(q[lo:hi], x[lo:hi])
		block++
	})
}

func roundBF16(v []float32) {
	for i := range v {
		v[i] = tensor.RoundBF16(v[i])
	}
}
