package main

import "math"

// The vector loops for arm64. A value stands for several vectors that go through the same operations side by
// side: a long chain of operations that wait for each other fills the processor only together with others.

// value is a vector for each strand, or one for all of them.
type value []V

// strands is how many vectors go side by side.
const strands = 4

func init() {
	unitsARM64["vector_neon"] = func(a *asm) {
		v := &vecARM64{asm: a}
		v.quantise()
		v.conversions()
		v.sum("sumSquares", func(x V) V { return a.make(fmul, x, x) })
		v.sum("sumLanes", func(x V) V { return x })
		v.functions()
		v.elementwise()
		v.axpys()
	}
}

// vecARM64 writes loops on vectors. Each operation has one rounding and is written where the Go version has
// it, so that both give the same bits.
type vecARM64 struct {
	*asm
	n    int       // strands of the loop at hand
	rest bool      // single elements, behind the last whole vector
	used map[R]int // the loop's pointers and their elements' sizes
}

func (v *vecARM64) begin(name, signature string) {
	v.function(name+"NEON", signature, "is vectorLoops."+name+".")
}

func (v *vecARM64) base(slice string) R { return v.asm.load(slice, "_base") }

func (v *vecARM64) length(slice string) R { return v.asm.load(slice, "_len") }

// scalar is a float32 parameter in every lane, throughout the function.
func (v *vecARM64) scalar(name string) value {
	r := v.keep(1)
	v.fill("FMOVS", v.fp(name, ""), r[0])
	v.do(dup(0), r[0], r[0])
	return r
}

// op makes a value of values.
func (v *vecARM64) op(o op, xs ...value) value {
	n := 1
	for _, x := range xs {
		n = max(n, len(x))
	}
	r := make(value, n)
	for i := range r {
		regs := make([]V, len(xs))
		for j, x := range xs {
			regs[j] = x[min(i, len(x)-1)]
		}
		r[i] = v.make(o, regs...)
	}
	return r
}

// choose is yes where mask has ones, else no. The mask is overwritten.
func (v *vecARM64) choose(mask, yes, no value) value {
	for i, m := range mask {
		v.do(bsl, m, yes[min(i, len(yes)-1)], no[min(i, len(no)-1)])
	}
	return mask
}

func (v *vecARM64) float(f float32) value { return value{v.bits(math.Float32bits(f))} }

func (v *vecARM64) word(b uint32) value { return value{v.bits(b)} }

// each writes body for all n elements: for several vectors at a time, for one at a time, for the rest.
func (v *vecARM64) each(n R, body func()) {
	rest, done := v.newLabel("rest"), v.newLabel("done")
	for _, v.n = range []int{strands, 1} {
		v.turn(n, 4*v.n, body)
	}
	v.rest = true
	v.line("CBZ %v, %s", n, done)
	v.label(rest)
	v.used = map[R]int{}
	body()
	v.advance(1)
	v.line("SUBS $1, %v", n)
	v.line("BNE %s", rest)
	v.label(done)
	v.rest = false
}

// turn repeats body while there are as many elements.
func (v *vecARM64) turn(n R, step int, body func()) {
	loop, end := v.newLabel("loop"), v.newLabel("end")
	v.line("SUBS $%d, %v", step, n)
	v.line("BLT %s", end)
	v.label(loop)
	v.used = map[R]int{}
	body()
	v.advance(step)
	v.line("SUBS $%d, %v", step, n)
	v.line("BGE %s", loop)
	v.label(end)
	v.line("ADD $%d, %v", step, n)
}

func (v *vecARM64) advance(step int) {
	for _, r := range generals {
		if size := v.used[r]; size > 0 {
			v.line("ADD $%d, %v", step*size, r)
		}
	}
}

// move writes an instruction between a register and the loop's elements at p, for every strand.
func (v *vecARM64) move(p R, size int, do func(i, disp int)) {
	v.used[p] = size
	for i := range v.n {
		do(i, 4*size*i)
	}
}

// load is the loop's elements of a []float32.
func (v *vecARM64) load(p R) value {
	r := make(value, v.n)
	v.move(p, 4, func(i, disp int) {
		r[i] = v.temp()
		instruction := "FMOVQ"
		if v.rest {
			instruction = "FMOVS"
		}
		v.fill(instruction, mem(p, disp), r[i])
	})
	return r
}

// store writes the loop's elements of a []float32.
func (v *vecARM64) store(x value, p R) {
	v.move(p, 4, func(i, disp int) {
		instruction := "FMOVQ"
		if v.rest {
			instruction = "FMOVS"
		}
		v.spill(instruction, x[i], mem(p, disp))
	})
}

// narrow is the loop's elements of a slice of smaller elements in the lower lanes of that size. One alone
// goes through a general register.
func (v *vecARM64) narrow(p R, size int, single string) value {
	r := make(value, v.n)
	v.move(p, size, func(i, disp int) {
		r[i] = v.temp()
		if v.rest {
			v.line("%s %s, %v", single, mem(p, disp), passing)
			v.fill("FMOVS", passing.String(), r[i])
			return
		}
		v.fill(map[int]string{1: "FMOVS", 2: "FMOVD"}[size], mem(p, disp), r[i])
	})
	return r
}

func (v *vecARM64) storeNarrow(x value, p R, size int, single string) {
	v.move(p, size, func(i, disp int) {
		if v.rest {
			v.spill("FMOVS", x[i], passing.String())
			v.line("%s %v, %s", single, passing, mem(p, disp))
			return
		}
		v.spill(map[int]string{1: "FMOVS", 2: "FMOVD"}[size], x[i], mem(p, disp))
	})
}

// storeInt8 writes 32-bit integers in -128..127.
func (v *vecARM64) storeInt8(x value, p R) {
	if !v.rest {
		x = v.op(xtn16, v.op(xtn32, x))
	}
	v.storeNarrow(x, p, 1, "MOVB")
}

// quantise takes the largest magnitude by its bits, then rounds.
func (v *vecARM64) quantise() {
	v.begin("quantise", "(q []int8, x []float32) float32")
	q, n, x := v.base("q"), v.length("q"), v.base("x")
	top := v.keep(1)
	v.clear(top)
	v.each(n, func() {
		for _, m := range v.op(and, v.load(x), v.word(signBit-1)) {
			v.do(umax, top[0], top[0], m)
		}
	})
	v.do(umaxv, top[0], top[0])

	const tiny = 0x1p-100
	bits, limit, result := v.general(), v.general(), v.keep(1)
	again := func() {
		v.line("MOVD %s, %v", v.fp("x", "_base"), x)
		v.line("MOVD %s, %v", v.fp("q", "_len"), n)
	}
	v.spill("FMOVS", top[0], bits.String())
	again()
	v.fill("FMOVQ", v.constant(same(math.Float32bits(float32(math.NaN())))), result[0])
	v.line("MOVD $0x7f800000, %v", limit)
	v.line("CMPW %v, %v", limit, bits)
	v.line("BHS clear")
	v.clear(result)
	v.line("MOVD $%#x, %v", math.Float32bits(tiny), limit)
	v.line("CMPW %v, %v", limit, bits)
	v.line("BLO clear")

	factor, most := v.keep(1), v.keep(1)
	v.do(dup(0), top[0], top[0])
	v.fill("FMOVQ", v.constant(same(math.Float32bits(127))), most[0])
	v.do(fdiv, factor[0], most[0], top[0])
	v.do(fdiv, result[0], top[0], most[0])
	v.each(n, func() { v.storeInt8(v.op(fcvtns, v.op(fmul, v.load(x), factor)), q) })
	v.returns(result[0])

	v.label("clear")
	v.each(n, func() {
		zero := make(value, v.n)
		for i := range zero {
			zero[i] = v.make(zeros)
		}
		v.storeInt8(zero, q)
	})
	v.returns(result[0])
	v.write()
}

// returns ends the function with the first lane as its result.
func (v *vecARM64) returns(x V) {
	v.spill("FMOVS", x, v.fp("ret", ""))
	v.line("RET")
}
