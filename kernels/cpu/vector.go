package cpu

import "troupe/kernels"

// vectorLoops are the inner loops on vectors, everything but the products with matrices. The length of
// the first slice counts, at most vectorMax; the others are at least as long. Slices do not overlap
// unless they are the same. The sums are lane sums (kernels/order.go).
type vectorLoops struct {
	// quantise fills q from a block of activations and returns its scale, as kernels.QuantiseBlock does.
	quantise func(q []int8, x []float32) float32
	// widenBF16: dst = b, exactly.
	widenBF16 func(dst []float32, b []uint16)
	// toBF16: dst = src, rounded as tensor.ToBF16 does.
	toBF16 func(dst []uint16, src []float32)
	// roundBF16: v = bfloat16(v), as tensor.RoundBF16 does.
	roundBF16 func(v []float32)

	// sumSquares is the lane sum of x*x.
	sumSquares func(x []float32) float32
	// sumLanes is the lane sum of p.
	sumLanes func(p []float32) float32

	// norm: y = scale * (x*f).
	norm func(y, x, scale []float32, f float32)
	// rotate: ya = a*cos - b*sin, yb = b*cos + a*sin.
	rotate func(ya, yb, a, b, cos, sin []float32)
	// weigh: p = exp(limit*tanh(p*multiplier/limit) - limit), with ref's functions.
	weigh func(p []float32, multiplier, limit float32)
	// geluUp: g = gelu(g) * u, with ref's function.
	geluUp func(g, u []float32)
	// expMinus: p = exp(p - top), with ref's function.
	expMinus func(p []float32, top float32)

	// mul: y = y * m.
	mul func(y []float32, m float32)
	// div: y = y / d.
	div func(y []float32, d float32)
	// add: y = a + b.
	add func(y, a, b []float32)
	// addTo: y = y + x.
	addTo func(y, x []float32)
	// mulAdd: y = y + t*scale.
	mulAdd func(y, t, scale []float32)
	// axpy1: y = y + x*w.
	axpy1 func(y, w []float32, x float32)
	// axpy4: y = y + x[i]*w_i for i = 0, 1, 2, 3, in this order.
	axpy4 func(y, w0, w1, w2, w3 []float32, x *[4]float32)
}

// vectorMax is the longest vector of one call: assembly cannot be preempted, and the slowest loop takes
// two or three nanoseconds an element.
const vectorMax = 1 << 16

var genericVectors = vectorLoops{
	quantise: kernels.QuantiseBlock, widenBF16: widenBF16, toBF16: toBF16, roundBF16: roundBF16,
	sumSquares: sumSquares, sumLanes: sumLanes,
	norm: scaleNorm, rotate: rotate, weigh: weigh, geluUp: geluUp, expMinus: expMinus,
	mul: mul, div: div, add: addVectors, addTo: addTo, mulAdd: mulAdd, axpy1: axpy1, axpy4: axpy4,
}
