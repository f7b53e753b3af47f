package main

import "fmt"

func init() {
	unitsARM64["panel_neon"] = func(a *asm) {
		for _, d := range []dotterARM64{{"Dot", (*asm).dotByElement}, {"NEON", (*asm).dotWidening}} {
			for _, rows := range []int{1, 2, 4} {
				d.whole(a, rows)
			}
			d.split(a, 8)
		}
		for _, rows := range []int{1, 2, 4} {
			floatRowsNEON(a, rows, false)
			floatRowsNEON(a, rows, true)
		}
		exactPairNEON(a)
		widenPanelNEON(a)
		transposeNEON(a)
		dots16NEON(a)
		scaleRoundNEON(a)
		packLinesNEON(a)
	}
}

// quads is the number of vectors that hold an element of each output of a panel.
const quads = 4

// dotterARM64 writes int8 products. add adds, for one row, the products of weights w with lane's group of four activations
// in x to acc.
type dotterARM64 struct {
	suffix string
	add    func(a *asm, acc, w []V, x V, lane int)
}

// dotByElement is for processors with dot products.
func (a *asm) dotByElement(acc, w []V, x V, lane int) {
	for q := range w {
		a.do(sdotBy(lane), acc[q], w[q], x)
	}
}

// dotWidening is for those without. Products and then sums of neighbours take 16 bits: 2*128*127 < 2^15.
func (a *asm) dotWidening(acc, w []V, x V, lane int) {
	all := a.make(dup(lane), x)
	for q := 0; q < len(w); q += 2 {
		l0, h0 := a.make(smull, w[q], all), a.make(smull2, w[q], all)
		l1, h1 := a.make(smull, w[q+1], all), a.make(smull2, w[q+1], all)
		s0, s1 := a.make(addp, l0, h0), a.make(addp, l1, h1)
		a.do(sadalp, acc[q], s0)
		a.do(sadalp, acc[q+1], s1)
	}
}

// arguments begins a function that takes a pointer to an argument struct, and returns that pointer.
func (a *asm) arguments(name, args string) R {
	article := "a"
	if args[0] == 'i' || args[0] == 'e' {
		article = "an"
	}
	a.function(name, "(a *byte)", "takes "+article+" "+args+".")
	return a.load("a", "")
}

// field is a field of an argument struct in a new register.
func (a *asm) field(args R, offset int) R {
	r := a.general()
	a.line("MOVD %s, %v", mem(args, offset), r)
	return r
}

// quad is 64 bytes, and moves the pointer on.
func (a *asm) quad(p R) []V {
	w := make([]V, quads)
	for q := range w {
		w[q] = a.loaded(p, 16*q)
	}
	a.line("ADD $%d, %v", lineBytes, p)
	return w
}

// broadcastable is n values of 4 bytes in the lanes of a register, 1, 2 or 4.
func (a *asm) broadcastable(p R, n int) V {
	x := a.temp()
	a.fill(map[int]string{1: "FMOVS", 2: "FMOVD", 4: "FMOVQ"}[n], mem(p, 0), x)
	return x
}

// clear sets registers to zero.
func (a *asm) clear(regs []V) {
	for _, r := range regs {
		a.do(zeros, r)
	}
}

// int8Loop is what the int8 loops have in common.
type int8Loop struct {
	args, w, x, scales, lines, n R
	rows                         int
}

func (d *dotterARM64) begin(a *asm, rows int) *int8Loop {
	args := a.arguments(fmt.Sprintf("int8Rows%d%s", rows, d.suffix), "int8Args")
	l := &int8Loop{args, a.field(args, int8W), a.field(args, int8X), a.field(args, int8XScales), a.field(args, int8Lines), a.general(), rows}
	zero := a.make(zeros)
	for i := range quads * rows {
		a.store(zero, args, int8T+16*i)
	}
	a.label("block")
	a.take(l.n, l.lines, blockLines)
	return l
}

// take sets n to a block's share of what is left, and takes it away from that.
func (a *asm) take(n, left R, block int) {
	full := a.general()
	a.line("MOVD $%d, %v", block, full)
	a.line("CMP %v, %v", full, left)
	a.line("CSEL LT, %v, %v, %v", left, full, n)
	a.line("SUB %v, %v", n, left)
}

// endBlock: t += float32(sum) * scale for vectors q0 on of each row, whose sums are acc.
func (l *int8Loop) endBlock(a *asm, acc []V, q0 int) {
	per := len(acc) / l.rows
	for r0 := 0; r0 < l.rows; r0 += 4 {
		s := a.temp()
		a.fill(map[int]string{1: "FMOVS", 2: "FMOVD", 4: "FMOVQ"}[min(l.rows, 4)], mem(l.scales, 4*r0), s)
		for r := r0; r < min(r0+4, l.rows); r++ {
			var product [quads]V
			for q := range per {
				product[q] = a.make(fmulBy(r-r0), a.make(scvtf, acc[r*per+q]), s)
			}
			for q := range per {
				at := int8T + 64*r + 16*(q0+q)
				a.store(a.make(fadd, product[q], a.loaded(l.args, at)), l.args, at)
			}
		}
	}
}

// end goes on with the next block, or ends with y += t * scale for every row.
func (l *int8Loop) end(a *asm) {
	a.line("ADD $%d, %v", 4*l.rows, l.scales)
	a.line("CBNZ %v, block", l.lines)
	a.line("MOVD %s, %v", mem(l.args, int8Scale), l.w)
	scale := a.quad(l.w)
	for r := range l.rows {
		a.line("MOVD %s, %v", mem(l.args, int8Y+8*r), l.x)
		for q := range quads {
			p := a.make(fmul, a.loaded(l.args, int8T+64*r+16*q), scale[q])
			a.store(a.make(fadd, p, a.loaded(l.x, 16*q)), l.x, 16*q)
		}
	}
	a.end()
}

// whole is for few rows: each line is read once. A register holds activations of as many lines as fit.
func (d *dotterARM64) whole(a *asm, rows int) {
	l := d.begin(a, rows)
	acc := a.keep(quads * rows)
	a.clear(acc)
	line := func(x V, first int) {
		a.line("PRFM %s, PLDL1STRM", mem(l.w, prefetchAhead))
		w := a.quad(l.w)
		for r := range rows {
			d.add(a, acc[quads*r:][:quads], w, x, first+r)
		}
	}
	together, again := 4/rows, "BNE"
	if together > 1 { // counted ahead
		again = "BGE"
		a.line("SUBS $%d, %v", together, l.n)
		a.line("BLT few")
	}
	a.label("lines")
	x := a.broadcastable(l.x, 4)
	a.line("ADD $16, %v", l.x)
	for i := range together {
		line(x, i*rows)
	}
	a.line("SUBS $%d, %v", together, l.n)
	a.line("%s lines", again)
	if together > 1 {
		a.label("few")
		a.line("ADDS $%d, %v", together, l.n)
		a.line("BEQ done")
		a.label("one")
		x := a.broadcastable(l.x, rows)
		a.line("ADD $%d, %v", 4*rows, l.x)
		line(x, 0)
		a.line("SUBS $1, %v", l.n)
		a.line("BNE one")
		a.label("done")
	}
	l.endBlock(a, acc, 0)
	l.end(a)
}

// split is for more rows: the halves of the lines of a block one after the other, so that the sums of all
// rows stay in registers.
func (d *dotterARM64) split(a *asm, rows int) {
	l := d.begin(a, rows)
	w, x, n := a.general(), a.general(), a.general()
	acc := a.keep(quads / 2 * rows)
	for half := range 2 {
		a.clear(acc)
		a.line("ADD $%d, %v, %v", 32*half, l.w, w)
		a.line("MOVD %v, %v", l.x, x)
		a.line("MOVD %v, %v", l.n, n)
		a.label(fmt.Sprintf("half%d", half))
		if half == 0 {
			a.line("PRFM %s, PLDL1KEEP", mem(w, prefetchAhead))
		}
		weights := []V{a.loaded(w, 0), a.loaded(w, 16)}
		a.line("ADD $%d, %v", lineBytes, w)
		for r := 0; r < rows; r += 4 {
			some := a.loaded(x, 4*r)
			for i := range 4 {
				d.add(a, acc[2*(r+i):][:2], weights, some, i)
			}
		}
		a.line("ADD $%d, %v", 4*rows, x)
		a.line("SUBS $1, %v", n)
		a.line("BNE half%d", half)
		l.endBlock(a, acc, 2*half)
	}
	a.line("SUB $32, %v, %v", w, l.w)
	a.line("MOVD %v, %v", x, l.x)
	l.end(a)
}

// floatRowsNEON: sums[r] += x[r][k] * w[k] for 16 columns at a time, k ascending, each product rounded. A
// block is summed from zero and then added. half: the weights are bfloat16.
func floatRowsNEON(a *asm, rows int, half bool) {
	args := a.arguments(fmt.Sprintf("%sRows%dNEON", map[bool]string{true: "half", false: "float"}[half], rows), "floatArgs")
	sums, sumStep, w, wStep := a.field(args, floatSums), a.field(args, floatSumStep), a.field(args, floatW), a.field(args, floatWStep)
	tiles, block, k, wp, sp := a.field(args, floatTiles), a.field(args, floatBlock), a.general(), a.general(), a.general()
	xp := make([]R, rows)
	for r := range xp {
		xp[r] = a.general()
	}
	acc := a.keep(quads * rows)
	each := func(do func(acc V, disp int)) {
		a.line("MOVD %v, %v", sums, sp)
		for r := range rows {
			for q := range quads {
				do(acc[quads*r+q], 16*q)
			}
			a.line("ADD %v, %v", sumStep, sp)
		}
	}
	input := func(x []V, lane int) {
		var wv [quads]V
		for q := range wv {
			if !half {
				wv[q] = a.loaded(wp, 16*q)
			} else if q%2 == 0 {
				both := a.loaded(wp, 8*q)
				wv[q], wv[q+1] = a.make(shll, both), a.make(shll2, both)
			}
		}
		a.line("ADD %v, %v", wStep, wp)
		for r := range rows {
			var p [quads]V
			for q := range p {
				p[q] = a.make(fmulBy(lane), wv[q], x[r])
			}
			for q := range p {
				a.do(fadd, acc[quads*r+q], acc[quads*r+q], p[q])
			}
		}
	}
	values := func(n int) []V {
		x := make([]V, rows)
		for r := range x {
			x[r] = a.broadcastable(xp[r], n)
			a.line("ADD $%d, %v", 4*n, xp[r])
		}
		return x
	}

	a.label("tile")
	a.clear(acc)
	a.line("CBNZ %v, begin", block)
	each(func(acc V, disp int) { a.fill("FMOVQ", mem(sp, disp), acc) })
	a.label("begin")
	a.line("MOVD %v, %v", w, wp)
	for r := range xp {
		a.line("MOVD %s, %v", mem(args, floatX+8*r), xp[r])
	}
	a.line("MOVD %s, %v", mem(args, floatK), k)
	a.line("SUBS $4, %v", k)
	a.line("BLT few")
	a.label("four")
	x := values(4)
	for lane := range 4 {
		input(x, lane)
	}
	a.line("SUBS $4, %v", k)
	a.line("BGE four")
	a.label("few")
	a.line("ADDS $4, %v", k)
	a.line("BEQ last")
	a.label("one")
	input(values(1), 0)
	a.line("SUBS $1, %v", k)
	a.line("BNE one")
	a.label("last")
	a.line("CBZ %v, end", block)
	each(func(acc V, disp int) { a.do(fadd, acc, acc, a.loaded(sp, disp)) })
	a.label("end")
	each(func(acc V, disp int) { a.store(acc, sp, disp) })
	a.line("ADD $64, %v", sums)
	a.line("ADD $%d, %v", tileBytes(half), w)
	a.line("SUBS $1, %v", tiles)
	a.line("BNE tile")
	a.end()
}
