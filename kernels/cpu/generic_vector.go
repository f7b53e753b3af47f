package cpu

import (
	"troupe/kernels"
	"troupe/kernels/ref"
	"troupe/tensor"
)

// The vector loops of the portable variant.

func widenBF16(dst []float32, b []uint16) {
	b = b[:len(dst)]
	out := chunks[[4]uint32](dst)
	in := chunks[[4]uint16](b)[:len(out)]
	for i := range out {
		d, h := &out[i], &in[i]
		d[0], d[1], d[2], d[3] = uint32(h[0])<<16, uint32(h[1])<<16, uint32(h[2])<<16, uint32(h[3])<<16
	}
	for i := len(out) * 4; i < len(dst); i++ {
		dst[i] = tensor.FromBF16(b[i])
	}
}

func toBF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = tensor.ToBF16(v)
	}
}

func roundBF16(v []float32) {
	for i := range v {
		v[i] = tensor.RoundBF16(v[i])
	}
}

// sumSquares takes four lanes at a time.
func sumSquares(x []float32) float32 {
	const n = kernels.Lanes
	var lanes [n]float32
	whole := len(x) / n * n
	for j := 0; j < n; j += 4 {
		var s0, s1, s2, s3 float32
		for i := j; i+4 <= whole; i += n {
			v := (*[4]float32)(x[i:])
			s0 += float32(v[0] * v[0])
			s1 += float32(v[1] * v[1])
			s2 += float32(v[2] * v[2])
			s3 += float32(v[3] * v[3])
		}
		lanes[j], lanes[j+1], lanes[j+2], lanes[j+3] = s0, s1, s2, s3
	}
	for i, v := range x[whole:] {
		lanes[i] += float32(v * v)
	}
	return ref.FoldLanes(&lanes)
}

func sumLanes(p []float32) float32 {
	var lanes [kernels.Lanes]float32
	for j, v := range p {
		lanes[j%kernels.Lanes] += v
	}
	return ref.FoldLanes(&lanes)
}

func scaleNorm(y, x, scale []float32, f float32) {
	x, scale = x[:len(y)], scale[:len(y)]
	for i, v := range x {
		y[i] = scale[i] * float32(v*f)
	}
}

func rotate(ya, yb, a, b, cos, sin []float32) {
	n := len(ya)
	yb, a, b, cos, sin = yb[:n], a[:n], b[:n], cos[:n], sin[:n]
	for j, u := range a {
		v := b[j]
		ya[j] = float32(u*cos[j]) - float32(v*sin[j])
		yb[j] = float32(v*cos[j]) + float32(u*sin[j])
	}
}

func weigh(p []float32, multiplier, limit float32) {
	for j, s := range p {
		p[j] = ref.Exp(float32(limit*ref.Tanh(float32(s*multiplier)/limit)) - limit)
	}
}

func geluUp(g, u []float32) {
	u = u[:len(g)]
	for j, v := range g {
		g[j] = ref.Gelu(v) * u[j]
	}
}

func expMinus(p []float32, top float32) {
	for i, v := range p {
		p[i] = ref.Exp(v - top)
	}
}

func mul(y []float32, m float32) {
	for i := range y {
		y[i] *= m
	}
}

func div(y []float32, d float32) {
	for i := range y {
		y[i] /= d
	}
}

func addVectors(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

func addTo(y, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] += v
	}
}

func mulAdd(y, t, scale []float32) {
	t, scale = t[:len(y)], scale[:len(y)]
	for i := range y {
		y[i] += float32(t[i] * scale[i])
	}
}

func axpy1(y, w []float32, x float32) {
	w = w[:len(y)]
	for c := range y {
		y[c] += float32(x * w[c])
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
