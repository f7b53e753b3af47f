package cpu

import "troupe/kernels"

// loops are the inner loops of a variant: the arithmetic on long vectors. Each keeps to the canonical
// order, so that the variants agree bit for bit.
type loops struct {
	vectorLoops
	panels *panelLoops // nil: the loops on rows of weights, which follow, are used

	// pack puts three rows of int8 activations into words, as int8Block wants them.
	pack func(words []uint64, a, b, c []int8)
	// int8Block: sums[r-r0][c] = sum over k in lo..hi-1 of q[r][k] * w[k-lo][c], for rows r0 to r1-1, at
	// most rowTile of them, and at most kernels.BlockRows inputs k. Row k of w begins at (k-lo)*stride.
	int8Block func(s *scratch, sums []int32, q *quantRows, r0, r1, lo, hi int, w []int8, stride, cols int)

	// axpy4int8 is axpy4 on int8 weights.
	axpy4int8 func(y []float32, w0, w1, w2, w3 []int8, x *[4]float32)
	// dots: sums[o] = sum over k of x[k] * w[o*stride+k], for dotOutputs outputs.
	dots func(sums, w []float32, stride int, x []float32)

	// scores: s[j] = sum over d of q[d] * k[d*BlockTokens+j]: one query against a block of keys.
	scores func(s *[kernels.BlockTokens]float32, q, k []float32)
}
