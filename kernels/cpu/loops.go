package cpu

import "troupe/kernels"

// loops are the inner loops of a variant: the arithmetic on long vectors. Each keeps to the canonical
// order, so that the variants agree bit for bit.
type loops struct {
	// quantise fills q from a block of activations and returns its scale, as ref.Quantise does.
	quantise func(q []int8, x []float32) float32
	// pack puts three rows of int8 activations into words, as int8Block wants them.
	pack func(words []uint64, a, b, c []int8)
	// int8Block: sums[r-r0][c] = sum over k in lo..hi-1 of q[r][k] * w[k-lo][c], for rows r0 to r1-1, at
	// most rowTile of them, and at most kernels.BlockRows inputs k. Row k of w begins at (k-lo)*stride.
	int8Block func(s *scratch, sums []int32, q *quantRows, r0, r1, lo, hi int, w []int8, stride, cols int)

	// widen: dst[c] = q[c], exactly.
	widen func(dst []float32, q []int8)
	// widenScaled: dst[c] = bfloat16(float32(q[c]) * scale[c]).
	widenScaled func(dst []float32, q []int8, scale []float32)
	// widenBF16: dst[i] = b[i], exactly; the number of elements is a multiple of BlockTokens.
	widenBF16 func(dst []float32, b []uint16)
	// axpy4: y[c] += x[i] * w_i[c] for i = 0, 1, 2, 3, in this order, each product rounded.
	axpy4     func(y, w0, w1, w2, w3 []float32, x *[4]float32)
	axpy4int8 func(y []float32, w0, w1, w2, w3 []int8, x *[4]float32)
	// axpy1: y[c] += x * w[c].
	axpy1 func(y, w []float32, x float32)
	// dots: sums[o] = sum over k of x[k] * w[o*stride+k], for dotOutputs outputs.
	dots func(sums, w []float32, stride int, x []float32)

	// scores: s[j] = sum over d of q[d] * k[d*BlockTokens+j]: one query against a block of keys.
	scores func(s *[kernels.BlockTokens]float32, q, k []float32)
}
