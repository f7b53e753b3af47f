package cpu

import (
	"troupe/kernels"
	"troupe/tensor"
)

// The float32 loops of the portable variant's products and scores.

// asFloat has the float32 value of every int8, by its bits.
var asFloat = func() (t [256]float32) {
	for i := range t {
		t[i] = float32(int8(i))
	}
	return t
}()

// widen: dst = q, exactly.
func widen(dst []float32, q []int8) {
	out := chunks[[8]float32](dst)
	in := wordsOf(q)[:len(out)]
	for i := range out {
		d, w := &out[i], &in[i]
		d[0], d[1], d[2], d[3] = asFloat[w[0]], asFloat[w[1]], asFloat[w[2]], asFloat[w[3]]
		d[4], d[5], d[6], d[7] = asFloat[w[4]], asFloat[w[5]], asFloat[w[6]], asFloat[w[7]]
	}
	for c := len(out) * 8; c < len(dst); c++ {
		dst[c] = float32(q[c])
	}
}

// widenScaled: dst = bfloat16(float32(q) * scale).
func widenScaled(dst []float32, q []int8, scale []float32) {
	q, scale = q[:len(dst)], scale[:len(dst)]
	for c := range dst {
		dst[c] = tensor.RoundBF16(asFloat[uint8(q[c])] * scale[c])
	}
}

// axpy4int8 is axpy4 on int8 weights.
func axpy4int8(y []float32, w0, w1, w2, w3 []int8, x *[4]float32) {
	n := len(y)
	w0, w1, w2, w3 = w0[:n], w1[:n], w2[:n], w3[:n]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	for c := range y {
		v := y[c]
		v += float32(x0 * asFloat[uint8(w0[c])])
		v += float32(x1 * asFloat[uint8(w1[c])])
		v += float32(x2 * asFloat[uint8(w2[c])])
		v += float32(x3 * asFloat[uint8(w3[c])])
		y[c] = v
	}
}

// dotOutputs is how many sums run at once: six and their products are what the registers hold.
const dotOutputs = 6

// dots: sums[o] = sum over k of x[k] * w[o*stride+k], for dotOutputs outputs.
func dots(sums, w []float32, stride int, x []float32) {
	n := len(x)
	w0, w1, w2 := w[:n], w[stride:][:n], w[2*stride:][:n]
	w3, w4, w5 := w[3*stride:][:n], w[4*stride:][:n], w[5*stride:][:n]
	var s0, s1, s2, s3, s4, s5 float32
	for k, v := range x {
		s0 += float32(v * w0[k])
		s1 += float32(v * w1[k])
		s2 += float32(v * w2[k])
		s3 += float32(v * w3[k])
		s4 += float32(v * w4[k])
		s5 += float32(v * w5[k])
	}
	sums = sums[:dotOutputs]
	sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = s0, s1, s2, s3, s4, s5
}

// scores: s[j] = sum over d of q[d] * k[d*BlockTokens+j]: one query against a block of keys. It takes four of the key's dimensions at a time for all 16 keys.
func scores(s *[kernels.BlockTokens]float32, q, k []float32) {
	const n = kernels.BlockTokens
	clear(s[:])
	for ; len(q) >= 4; q, k = q[4:], k[4*n:] {
		q0, q1, q2, q3 := q[0], q[1], q[2], q[3]
		rows := (*[4 * n]float32)(k)
		for j := range s {
			v := s[j]
			v += float32(q0 * rows[j])
			v += float32(q1 * rows[j+n])
			v += float32(q2 * rows[j+2*n])
			v += float32(q3 * rows[j+3*n])
			s[j] = v
		}
	}
	for d, x := range q {
		axpy1(s[:], k[d*n:], x)
	}
}
