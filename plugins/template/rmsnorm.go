package main

import (
	"math"

	"troupe/kernels"
	"troupe/tensor"
)

// rmsNorm is y = scale * (x / sqrt(mean(x*x) + eps)) for n rows: x and y are [n D], scale is [D].
//
// Whoever promises Identical follows the canonical order (kernels/order.go): each product is rounded to float32 before it
// is added, written float32(a*b) so that the compiler does not fuse the two, and the sum of squares is a lane sum.
func rmsNorm(y, x, scale []float32, eps float32, n int, arith kernels.Arith) {
	d := len(scale)
	for r := range n {
		in, out := x[r*d:][:d], y[r*d:][:d]
		norm := 1 / float32(math.Sqrt(float64(sumOfSquares(in)/float32(d)+eps)))
		for i, v := range in {
			out[i] = scale[i] * float32(v*norm)
		}
		if arith == kernels.Reference { // the bfloat16 roundings of xai-org/grok-1
			for i, v := range out {
				out[i] = tensor.RoundBF16(v)
			}
		}
	}
}

// sumOfSquares adds element i to lane i mod 16, then the lanes by halves. Vector code does just that with one register
// of 16 lanes; plain Go gives the same bits.
func sumOfSquares(x []float32) float32 {
	var lanes [kernels.Lanes]float32
	for i, v := range x {
		lanes[i%kernels.Lanes] += float32(v * v)
	}
	for half := kernels.Lanes / 2; half > 0; half /= 2 {
		for j := range half {
			lanes[j] += lanes[j+half]
		}
	}
	return lanes[0]
}
