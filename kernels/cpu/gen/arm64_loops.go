package main

import "math"

func (v *vecARM64) conversions() {
	v.begin("widenBF16", "(dst []float32, b []uint16)")
	dst, n, b := v.base("dst"), v.length("dst"), v.base("b")
	v.each(n, func() { v.store(v.op(shl(16), v.op(uxtl16, v.narrow(b, 2, "MOVHU"))), dst) })
	v.end()

	v.begin("toBF16", "(dst []uint16, src []float32)")
	half, n, src := v.base("dst"), v.length("dst"), v.base("src")
	v.each(n, func() {
		x := v.op(ushr(16), v.bf16(v.load(src)))
		if !v.rest {
			x = v.op(xtn32, x)
		}
		v.storeNarrow(x, half, 2, "MOVH")
	})
	v.end()

	v.begin("roundBF16", "(v []float32)")
	dst, n = v.base("v"), v.length("v")
	v.each(n, func() { v.store(v.roundBF16(v.load(dst)), dst) })
	v.end()
}

// bf16 is tensor.ToBF16 in the upper half of each lane, and anything in the lower.
func (a *asm) bf16(x value) value {
	v := &vecARM64{asm: a}
	odd := v.op(and, v.op(ushr(16), x), v.word(1))
	rounded := v.op(add, v.op(add, x, v.word(0x7fff)), odd)
	return v.choose(v.op(fcmeq, x, x), rounded, v.op(orr, x, v.word(0x400000)))
}

// roundBF16 is tensor.RoundBF16.
func (a *asm) roundBF16(x value) value {
	v := &vecARM64{asm: a}
	return v.op(and, v.bf16(x), v.word(highHalf))
}

// sum is a lane sum of terms of x, the 16 lanes in four registers. Elements that are missing in the last row
// of lanes add +0, which no sum shows.
func (v *vecARM64) sum(name string, term func(x V) V) {
	v.begin(name, "(x []float32) float32")
	x, n := v.base("x"), v.length("x")
	lanes, some := v.keep(quads), v.keep(1)[0]
	v.clear(lanes)
	v.n = quads
	v.turn(n, 4*quads, func() {
		for q, r := range v.load(x) {
			v.do(fadd, lanes[q], lanes[q], term(r))
		}
	})
	fold := v.newLabel("fold")
	for q := range quads {
		next := v.newLabel("next")
		v.line("SUBS $4, %v", n)
		v.line("BGE %s", next)
		v.line("ADDS $4, %v", n)
		v.line("BEQ %s", fold)
		v.some(x, n, some)
		v.do(fadd, lanes[q], lanes[q], term(some))
		v.line("B %s", fold)
		v.label(next)
		v.do(fadd, lanes[q], lanes[q], term(v.loaded(x, 0)))
		v.line("ADD $16, %v", x)
	}
	v.label(fold)
	low, high := v.make(fadd, lanes[0], lanes[2]), v.make(fadd, lanes[1], lanes[3])
	sum := v.make(fadd, low, high)
	sum = v.make(fadd, sum, v.make(swap, sum, sum))
	v.returns(v.make(fadd, sum, v.make(dup(1), sum)))
	v.write()
}

// elementwise are the loops of a product or a sum or two.
func (v *vecARM64) elementwise() {
	v.begin("rotate", "(ya, yb, a, b, cos, sin []float32)")
	ya, yb, n := v.base("ya"), v.base("yb"), v.length("ya")
	a, b, cos, sin := v.base("a"), v.base("b"), v.base("cos"), v.base("sin")
	v.each(n, func() {
		x, y, c, s := v.load(a), v.load(b), v.load(cos), v.load(sin)
		v.store(v.op(fsub, v.op(fmul, x, c), v.op(fmul, y, s)), ya)
		v.store(v.op(fadd, v.op(fmul, y, c), v.op(fmul, x, s)), yb)
	})
	v.end()

	v.begin("norm", "(y, x, scale []float32, f float32)")
	y, n, x, scale, f := v.base("y"), v.length("y"), v.base("x"), v.base("scale"), v.scalar("f")
	v.each(n, func() { v.store(v.op(fmul, v.load(scale), v.op(fmul, v.load(x), f)), y) })
	v.end()

	v.begin("mul", "(y []float32, m float32)")
	y, n, f = v.base("y"), v.length("y"), v.scalar("m")
	v.each(n, func() { v.store(v.op(fmul, v.load(y), f), y) })
	v.end()

	v.begin("div", "(y []float32, d float32)")
	y, n, f = v.base("y"), v.length("y"), v.scalar("d")
	v.each(n, func() { v.store(v.op(fdiv, v.load(y), f), y) })
	v.end()

	v.begin("add", "(y, a, b []float32)")
	y, n = v.base("y"), v.length("y")
	a, b = v.base("a"), v.base("b")
	v.each(n, func() { v.store(v.op(fadd, v.load(a), v.load(b)), y) })
	v.end()

	v.begin("addTo", "(y, x []float32)")
	y, n, x = v.base("y"), v.length("y"), v.base("x")
	v.each(n, func() { v.store(v.op(fadd, v.load(y), v.load(x)), y) })
	v.end()

	v.begin("mulAdd", "(y, t, scale []float32)")
	y, n, x, scale = v.base("y"), v.length("y"), v.base("t"), v.base("scale")
	v.each(n, func() { v.store(v.op(fadd, v.load(y), v.op(fmul, v.load(x), v.load(scale))), y) })
	v.end()
}

func (v *vecARM64) axpys() {
	v.begin("axpy1", "(y, w []float32, x float32)")
	y, n, w, x := v.base("y"), v.length("y"), v.base("w"), v.scalar("x")
	v.each(n, func() { v.store(v.op(fadd, v.load(y), v.op(fmul, v.load(w), x)), y) })
	v.end()

	v.begin("axpy4", "(y, w0, w1, w2, w3 []float32, x *[4]float32)")
	y, n = v.base("y"), v.length("y")
	rows := []R{v.base("w0"), v.base("w1"), v.base("w2"), v.base("w3")}
	factors := value(v.keep(1))
	v.fill("FMOVQ", mem(v.asm.load("x", ""), 0), factors[0])
	v.each(n, func() {
		sum := v.load(y)
		for i, row := range rows {
			sum = v.op(fadd, sum, v.op(fmulBy(i), v.load(row), factors))
		}
		v.store(sum, y)
	})
	v.end()
}

// functions are the loops with elementary functions.
func (v *vecARM64) functions() {
	v.begin("weigh", "(p []float32, multiplier, limit float32)")
	p, n, multiplier, limit := v.base("p"), v.length("p"), v.scalar("multiplier"), v.scalar("limit")
	v.each(n, func() {
		t := v.tanh(v.op(fdiv, v.op(fmul, v.load(p), multiplier), limit))
		v.store(v.exp(v.op(fsub, v.op(fmul, t, limit), limit)), p)
	})
	v.end()

	v.begin("geluUp", "(g, u []float32)")
	g, n, u := v.base("g"), v.length("g"), v.base("u")
	v.each(n, func() {
		x := v.load(g)
		v.store(v.op(fmul, v.op(fmul, x, v.geluFactor(x)), v.load(u)), g)
	})
	v.end()

	v.begin("expMinus", "(p []float32, top float32)")
	p, n = v.base("p"), v.length("p")
	top := v.scalar("top")
	v.each(n, func() { v.store(v.exp(v.op(fsub, v.load(p), top)), p) })
	v.end()
}

// The functions of kernels/ref/math.go, operation by operation. Where a function there branches, all branches
// are computed and one is chosen. Any NaN is as good as another.

// horner is a polynomial in x, by coefficients from the highest power down.
func (v *vecARM64) horner(x value, coefficients ...float32) value {
	p := v.op(fmul, x, v.float(coefficients[0]))
	for _, c := range coefficients[1 : len(coefficients)-1] {
		p = v.op(fmul, v.op(fadd, p, v.float(c)), x)
	}
	return v.op(fadd, p, v.float(coefficients[len(coefficients)-1]))
}

// expInside is ref.Exp between its bounds and for NaN; anything elsewhere.
func (v *vecARM64) expInside(x value) value {
	const magic = float32(3 << 22)
	t := v.op(fadd, v.op(fmul, x, v.float(1.44269504088896341)), v.float(magic))
	n := v.op(fsub, t, v.float(magic))
	r := v.op(fsub, x, v.op(fmul, n, v.float(0.693359375)))
	r = v.op(fsub, r, v.op(fmul, n, v.float(-2.12194440e-4)))
	p := v.horner(r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	y := v.op(fadd, v.op(fmul, p, v.op(fmul, r, r)), r)
	y = v.op(fadd, y, v.float(1))
	// The lowest bits of t are n: shifted to the exponent they leave nothing of the magic number.
	return v.op(fmul, y, v.op(add, v.op(shl(23), t), v.float(1)))
}

// exp is ref.Exp.
func (v *vecARM64) exp(x value) value {
	y := v.op(bic, v.expInside(x), v.op(fcmgt, v.float(-87.33), x))
	return v.choose(v.op(fcmgt, x, v.float(88.37)), v.float(float32(math.Inf(1))), y)
}

// tanh is ref.Tanh.
func (v *vecARM64) tanh(x value) value {
	magnitude := v.op(and, x, v.word(signBit-1))
	bounded := v.op(fmin, magnitude, v.float(10))
	e := v.expInside(v.op(fadd, bounded, bounded))
	y := v.op(fsub, v.float(1), v.op(fdiv, v.float(2), v.op(fadd, e, v.float(1))))
	y = v.op(orr, y, v.op(and, x, v.word(signBit)))

	z := v.op(fmul, x, x)
	p := v.horner(z, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	small := v.op(fadd, v.op(fmul, v.op(fmul, p, z), x), x)
	return v.choose(v.op(fcmgt, v.float(0.625), magnitude), small, y)
}

// geluFactor is what ref.Gelu multiplies x by.
func (v *vecARM64) geluFactor(x value) value {
	cubic := v.op(fmul, v.op(fmul, v.op(fmul, x, x), x), v.float(0.044715))
	inner := v.op(fmul, v.op(fadd, x, cubic), v.float(0.7978845608028654))
	return v.op(fmul, v.op(fadd, v.tanh(inner), v.float(1)), v.float(0.5))
}
