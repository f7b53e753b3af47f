package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// How many vectors are computed side by side: of a few operations, and of elementary functions, for which
// the 16 registers of AVX2 just suffice.
const (
	plain   = 2
	chained = 3
)

func init() {
	for _, v := range []*vec{{lanes: 8, suffix: "AVX2"}, {lanes: 16, suffix: "AVX512"}} {
		units[map[int]string{8: "vector_avx2", 16: "vector_avx512"}[v.lanes]] = func(c *build.Context) {
			v.Context, v.consts = c, map[uint32]operand.Mem{}
			v.quantise()
			v.conversions()
			v.sum("sumSquares", func(x reg.VecVirtual) reg.VecVirtual { return v.mul(x, x) })
			v.sum("sumLanes", func(x reg.VecVirtual) reg.VecVirtual { return x })
			v.functions()
			v.rotate()
			v.elementwise()
			v.axpys()
		}
	}
}

// quantise takes the largest magnitude by its bits, then rounds.
func (v *vec) quantise() {
	v.function("quantise", "(q []int8, x []float32) float32", "vectorLoops.quantise")
	q, n, x := v.base("q"), v.length("q"), v.base("x")
	whole, single := v.zero(), v.zero() // the largest of whole vectors, of the rest
	v.each(n, plain, func() {
		top := whole
		if v.rest {
			top = single
		}
		magnitude := v.and(v.load(x), v.bits(signBit-1))
		v.VPMAXUD(magnitude, v.fit(top), v.fit(top))
	})
	v.VPMAXUD(whole, single, whole)
	amax := v.fold(whole, func(b, a, r operand.Op) { v.VPMAXUD(b, a, r) })

	const tiny = 0x1p-100
	top := v.GP32()
	v.VMOVD(amax, top)
	result := v.XMM()
	v.VMOVD(v.immediate(math.Float32bits(float32(math.NaN()))), result)
	v.CMPL(top, operand.U32(0x7f800000))
	v.JAE(operand.LabelRef("clear"))
	v.VPXOR(result, result, result)
	v.CMPL(top, operand.U32(math.Float32bits(tiny)))
	v.JB(operand.LabelRef("clear"))

	inverse := v.XMM()
	v.VMOVSS(v.float(127), result)
	v.VDIVSS(amax, result, inverse)
	v.VDIVSS(v.float(127), amax, result)
	factor := v.broadcast(inverse)
	v.each(n, plain, func() {
		r := v.new()
		v.VCVTPS2DQ(v.mul(v.load(x), factor), r) // ties to even
		v.storeInt8(r, q)
	})
	v.endWith(result)

	v.Label("clear")
	zero := v.zero()
	v.each(n, plain, func() { v.storeInt8(zero, q) })
	v.endWith(result)
}

// immediate is a constant in a general register.
func (v *vec) immediate(b uint32) reg.Register {
	r := v.GP32()
	v.MOVL(operand.U32(b), r)
	return r
}

// fold combines lanes by halves: lane j with lane j+8, then j+4, j+2, j+1.
func (v *vec) fold(x reg.VecVirtual, op func(b, a, r operand.Op)) reg.VecVirtual {
	if v.lanes == 16 {
		high := v.YMM()
		v.VEXTRACTF64X4(operand.Imm(1), x, high)
		op(high, x.AsY(), high)
		x = high
	}
	low, other := v.XMM(), v.XMM()
	v.VEXTRACTF128(operand.Imm(1), x.AsY(), other)
	op(other, x.AsX(), low)
	v.VPSHUFD(operand.Imm(0b1110), low, other)
	op(other, low, low)
	v.VPSHUFD(operand.Imm(0b01), low, other)
	op(other, low, low)
	return low
}

func (v *vec) conversions() {
	v.function("widenBF16", "(dst []float32, b []uint16)", "vectorLoops.widenBF16")
	dst, n, src := v.base("dst"), v.length("dst"), v.base("b")
	v.each(n, plain, func() { v.store(v.shiftLeft(v.loadUint16(src), 16), dst) })
	v.end()

	v.function("toBF16", "(dst []uint16, src []float32)", "vectorLoops.toBF16")
	dst, n, src = v.base("dst"), v.length("dst"), v.base("src")
	v.each(n, plain, func() { v.storeUint16(v.shiftRight(v.bf16(v.load(src)), 16), dst) })
	v.end()

	v.function("roundBF16", "(v []float32)", "vectorLoops.roundBF16")
	dst, n = v.base("v"), v.length("v")
	v.each(n, plain, func() { v.store(v.roundBF16(v.load(dst)), dst) })
	v.end()
}

// sum is a lane sum of terms of x: of 16 lanes, whatever the registers hold. Elements that are missing in
// the last row of lanes add +0, which no sum shows.
func (v *vec) sum(name string, term func(x reg.VecVirtual) reg.VecVirtual) {
	v.function(name, "(x []float32) float32", "vectorLoops."+name)
	x, n := v.base("x"), v.length("x")
	low := v.zero()
	plus := func(b, a, r operand.Op) { v.VADDPS(b, a, r) }
	if v.lanes == 16 {
		v.each(n, plain, func() { plus(term(v.load(x)), low, low) })
		v.endWith(v.fold(low, plus))
		return
	}
	high := v.zero()
	v.index = v.GP64()
	v.XORQ(v.index, v.index)
	v.pass(n, 2, func() {
		sum := []reg.VecVirtual{low, high}[v.ahead/v.lanes]
		plus(term(v.load(x)), sum, sum)
	})

	// 16 words from the middle of the table backwards by the elements left have a mask for each.
	masks := v.GP64()
	v.LEAQ(v.masks(), masks)
	v.SUBQ(v.index, n)
	v.NEGQ(n)
	v.LEAQ(operand.Mem{Base: masks, Index: n, Scale: 4, Disp: 64}, masks)
	for half, sum := range []reg.VecVirtual{low, high} {
		mask, r := v.YMM(), v.YMM()
		v.VMOVUPS(operand.Mem{Base: masks, Disp: 32 * half}, mask)
		v.VMASKMOVPS(v.place(x, 4).Offset(32*half), mask, r)
		plus(term(r), sum, sum)
	}
	plus(high, low, low)
	v.endWith(v.fold(low, plus))
}

// masks is a table of 16 words of ones and 16 of zeros.
func (v *vec) masks() operand.Mem {
	const key = 0xffffffff
	if m, ok := v.consts[key]; ok {
		return m
	}
	m := v.StaticGlobal("masks" + v.suffix)
	v.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		word := operand.U64(math.MaxUint64)
		if i >= 8 {
			word = 0
		}
		v.AppendDatum(word)
	}
	v.consts[key] = m
	return m
}

// functions are the loops with elementary functions.
func (v *vec) functions() {
	v.function("weigh", "(p []float32, multiplier, limit float32)", "vectorLoops.weigh")
	p, n := v.base("p"), v.length("p")
	multiplier, limit := v.onStack(v.scalar("multiplier")), v.onStack(v.scalar("limit"))
	v.each(n, chained, func() {
		t := v.tanh(v.div(v.mul(v.load(p), multiplier), limit))
		v.store(v.exp(v.sub(v.mul(t, limit), limit)), p)
	})
	v.end()

	v.function("geluUp", "(g, u []float32)", "vectorLoops.geluUp")
	g, n, u := v.base("g"), v.length("g"), v.base("u")
	v.each(n, chained, func() {
		factor := v.geluFactor(v.load(g))
		v.store(v.mul(v.mul(v.load(g), factor), v.load(u)), g) // loaded again, to save registers
	})
	v.end()

	v.function("expMinus", "(p []float32, top float32)", "vectorLoops.expMinus")
	p, n = v.base("p"), v.length("p")
	top := v.scalar("top")
	v.each(n, chained, func() { v.store(v.exp(v.sub(v.load(p), top)), p) })
	v.end()
}

func (v *vec) rotate() {
	v.function("rotate", "(ya, yb, a, b, cos, sin []float32)", "vectorLoops.rotate")
	ya, yb, n := v.base("ya"), v.base("yb"), v.length("ya")
	a, b, cos, sin := v.base("a"), v.base("b"), v.base("cos"), v.base("sin")
	v.each(n, plain, func() {
		x, y, c, s := v.load(a), v.load(b), v.load(cos), v.load(sin)
		v.store(v.sub(v.mul(x, c), v.mul(y, s)), ya)
		v.store(v.add(v.mul(y, c), v.mul(x, s)), yb)
	})
	v.end()
}

// elementwise are the loops of a product or a sum or two.
func (v *vec) elementwise() {
	v.function("norm", "(y, x, scale []float32, f float32)", "vectorLoops.norm")
	y, n, x, scale, f := v.base("y"), v.length("y"), v.base("x"), v.base("scale"), v.scalar("f")
	v.each(n, plain, func() { v.store(v.mul(v.load(scale), v.mul(v.load(x), f)), y) })
	v.end()

	v.function("mul", "(y []float32, m float32)", "vectorLoops.mul")
	y, n, f = v.base("y"), v.length("y"), v.scalar("m")
	v.each(n, plain, func() { v.store(v.mul(v.load(y), f), y) })
	v.end()

	v.function("div", "(y []float32, d float32)", "vectorLoops.div")
	y, n, f = v.base("y"), v.length("y"), v.scalar("d")
	v.each(n, plain, func() { v.store(v.div(v.load(y), f), y) })
	v.end()

	v.function("add", "(y, a, b []float32)", "vectorLoops.add")
	y, n = v.base("y"), v.length("y")
	a, b := v.base("a"), v.base("b")
	v.each(n, plain, func() { v.store(v.add(v.load(a), v.load(b)), y) })
	v.end()

	v.function("addTo", "(y, x []float32)", "vectorLoops.addTo")
	y, n, x = v.base("y"), v.length("y"), v.base("x")
	v.each(n, plain, func() { v.store(v.add(v.load(y), v.load(x)), y) })
	v.end()

	v.function("mulAdd", "(y, t, scale []float32)", "vectorLoops.mulAdd")
	y, n, x, scale = v.base("y"), v.length("y"), v.base("t"), v.base("scale")
	v.each(n, plain, func() { v.store(v.add(v.load(y), v.mul(v.load(x), v.load(scale))), y) })
	v.end()
}

func (v *vec) axpys() {
	v.function("axpy1", "(y, w []float32, x float32)", "vectorLoops.axpy1")
	y, n, w, x := v.base("y"), v.length("y"), v.base("w"), v.scalar("x")
	v.each(n, plain, func() { v.store(v.add(v.load(y), v.mul(v.load(w), x)), y) })
	v.end()

	v.function("axpy4", "(y, w0, w1, w2, w3 []float32, x *[4]float32)", "vectorLoops.axpy4")
	y, n = v.base("y"), v.length("y")
	rows := []reg.Register{v.base("w0"), v.base("w1"), v.base("w2"), v.base("w3")}
	at := v.Load(v.Param("x"), v.GP64())
	var factors [4]reg.VecVirtual
	for i := range factors {
		factors[i] = v.newFull()
		v.VBROADCASTSS(operand.Mem{Base: at, Disp: 4 * i}, factors[i])
	}
	v.each(n, plain, func() {
		sum := v.load(y)
		for i, row := range rows {
			sum = v.add(sum, v.mul(v.load(row), factors[i]))
		}
		v.store(sum, y)
	})
	v.end()
}
