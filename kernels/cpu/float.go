package cpu

import "troupe/tensor"

// asFloat has the float32 value of every int8, by its bits.
var asFloat = func() (t [256]float32) {
	for i := range t {
		t[i] = float32(int8(i))
	}
	return t
}()

func widen(dst []float32, q []int8) {
	q = q[:len(dst)]
	for c := range dst {
		dst[c] = asFloat[uint8(q[c])]
	}
}

func widenScaled(dst []float32, q []int8, scale []float32) {
	q, scale = q[:len(dst)], scale[:len(dst)]
	for c := range dst {
		dst[c] = tensor.RoundBF16(asFloat[uint8(q[c])] * scale[c])
	}
}

func axpy4(y, w0, w1, w2, w3 []float32, x *[4]float32) {
	n := len(y)
	w0, w1, w2, w3 = w0[:n], w1[:n], w2[:n], w3[:n]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	for c := range y {
		v := y[c]
		v += float32(x0 * w0[c])
		v += float32(x1 * w1[c])
		v += float32(x2 * w2[c])
		v += float32(x3 * w3[c])
		y[c] = v
	}
}

func axpy1(y, w []float32, x float32) {
	w = w[:len(y)]
	for c := range y {
		y[c] += float32(x * w[c])
	}
}

func dot8(sum *[8]float32, w []float32, stride int, x []float32) {
	n := len(x)
	w0, w1, w2, w3 := w[:n], w[stride:][:n], w[2*stride:][:n], w[3*stride:][:n]
	w4, w5, w6, w7 := w[4*stride:][:n], w[5*stride:][:n], w[6*stride:][:n], w[7*stride:][:n]
	s0, s1, s2, s3, s4, s5, s6, s7 := sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]
	for k, v := range x {
		s0 += float32(v * w0[k])
		s1 += float32(v * w1[k])
		s2 += float32(v * w2[k])
		s3 += float32(v * w3[k])
		s4 += float32(v * w4[k])
		s5 += float32(v * w5[k])
		s6 += float32(v * w6[k])
		s7 += float32(v * w7[k])
	}
	*sum = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

func roundBF16(v []float32) {
	for i := range v {
		v[i] = tensor.RoundBF16(v[i])
	}
}
