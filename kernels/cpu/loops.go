package cpu

import "troupe/kernels"

// loops are the inner loops of a variant: all arithmetic on long vectors. Each keeps to the canonical
// order, so that the variants agree bit for bit.
type loops struct {
	// int8Block: sums[r-r0][c] = sum over k in lo..hi-1 of q[r][k] * w[k-lo][c], for rows r0 to r1-1, at
	// most rowTile of them, and at most kernels.BlockRows inputs k. Row k of w begins at (k-lo)*stride.
	int8Block func(s *scratch, sums []int32, q *quantRows, r0, r1, lo, hi int, w []int8, stride, cols int)

	// widen: dst[c] = q[c], exactly.
	widen func(dst []float32, q []int8)
	// widenScaled: dst[c] = bfloat16(float32(q[c]) * scale[c]).
	widenScaled func(dst []float32, q []int8, scale []float32)
	// axpy4: y[c] += x[i] * w_i[c] for i = 0, 1, 2, 3, in this order, each product rounded.
	axpy4 func(y, w0, w1, w2, w3 []float32, x *[4]float32)
	// axpy1: y[c] += x * w[c].
	axpy1 func(y, w []float32, x float32)
	// dot8: sum[o] += x[k] * w[o*stride+k] for ascending k; eight sums, to keep the adders busy.
	dot8 func(sum *[8]float32, w []float32, stride int, x []float32)

	// scores: s[j] = sum over d of q[d] * k[d*BlockTokens+j]: one query against a block of keys.
	scores func(s *[kernels.BlockTokens]float32, q, k []float32)
}

// rowTile is the number of rows that meet a tile of weights at once.
const rowTile = 12

var genericLoops = loops{
	int8Block: int8Block, widen: widen, widenScaled: widenScaled,
	axpy4: axpy4, axpy1: axpy1, dot8: dot8, scores: scores,
}
