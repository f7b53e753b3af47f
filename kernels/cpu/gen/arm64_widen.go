package main

// The loops that make float32 of panels, or panels of rows.

// inputIndices are where the bytes of each of the four inputs in a line go: into the upper ends of lanes.
func (a *asm) inputIndices() []V {
	index := a.keep(4)
	for j := range index {
		var words [4]uint32
		for lane := range words {
			words[lane] = uint32(4*lane+j)<<24 | 0xffffff
		}
		a.fill("FMOVQ", a.constant(words), index[j])
	}
	return index
}

// widenInput is one input's weights in a quarter of a line as float32.
func (a *asm) widenInput(w, index V) V { return a.make(topByte, a.make(tbl, w, index)) }

// exactPairNEON: one row times two panels, t += block sum for every block of a scale group.
func exactPairNEON(a *asm) {
	args := a.arguments("exactPairNEON", "exactArgs")
	w, second, x := a.field(args, exactW), a.field(args, exactPitch), a.field(args, exactX)
	left, sums, n, lines, tail := a.field(args, exactN), a.field(args, exactSums), a.general(), a.general(), a.general()
	a.line("ADD %v, %v", w, second)
	index, acc := a.inputIndices(), a.keep(2*quads)
	line := func(x V) {
		for half, p := range []R{w, second} {
			sums := acc[quads*half:][:quads]
			weights := a.quad(p)
			for j := range index {
				var f, p [quads]V
				for q := range f {
					f[q] = a.widenInput(weights[q], index[j])
				}
				for q := range f {
					p[q] = a.make(fmulBy(j), f[q], x)
				}
				for q := range p {
					a.do(fadd, sums[q], sums[q], p[q])
				}
			}
		}
	}
	a.label("block")
	a.take(n, left, 4*blockLines)
	a.clear(acc)
	a.line("AND $3, %v, %v", n, tail)
	a.line("LSR $2, %v, %v", n, lines)
	a.line("CBZ %v, tail", lines)
	a.label("line")
	a.line("PRFM %s, PLDL1STRM", mem(w, prefetchAhead))
	a.line("PRFM %s, PLDL1STRM", mem(second, prefetchAhead))
	four := a.loaded(x, 0)
	a.line("ADD $16, %v", x)
	line(four)
	a.line("SUBS $1, %v", lines)
	a.line("BNE line")

	// The last line of a group may hold fewer than four inputs. Where there is none, zeros are multiplied: +0 or
	// -0 changes no sum that began with +0.
	a.label("tail")
	a.line("CBZ %v, done", tail)
	some := a.keep(1)[0]
	a.some(x, tail, some)
	line(some)
	a.label("done")
	for i, v := range acc {
		a.store(a.make(fadd, v, a.loaded(sums, 16*i)), sums, 16*i)
	}
	a.line("CBNZ %v, block", left)
	a.end()
}

// some is 1 to 3 floats in the lower lanes, zeros above.
func (a *asm) some(p, n R, to V) {
	two, one, three, done := a.newLabel("two"), a.newLabel("one"), a.newLabel("three"), a.newLabel("done")
	at := a.general()
	a.line("CMP $2, %v", n)
	a.line("BLT %s", one)
	a.line("BEQ %s", two)
	a.label(three)
	a.fill("FMOVD", mem(p, 0), to)
	a.line("ADD $8, %v, %v", p, at)
	a.line("VLD1 (%v), V%d.S[2]", at, int(to))
	a.line("B %s", done)
	a.label(two)
	a.fill("FMOVD", mem(p, 0), to)
	a.line("B %s", done)
	a.label(one)
	a.fill("FMOVS", mem(p, 0), to)
	a.label(done)
}

func widenPanelNEON(a *asm) {
	a.function("widenPanelNEON", "(dst *float32, w *int8, lines int)", "makes float32 [4*lines][16] of lines of a panel, lines above 0.")
	dst, w, n := a.load("dst", ""), a.load("w", ""), a.load("lines", "")
	index := a.inputIndices()
	a.label("line")
	line := a.quad(w)
	for j := range index {
		for q := range line {
			a.store(a.widenInput(line[q], index[j]), dst, 64*j+16*q)
		}
	}
	a.line("ADD $%d, %v", 4*lineBytes, dst)
	a.line("SUBS $1, %v", n)
	a.line("BNE line")
	a.end()
}

func transposeNEON(a *asm) {
	a.function("transposeNEON", "(dst, src *float32, stride, n int)", "makes [n][16] of 16 rows, stride bytes apart; n is a multiple of 4 above 0.")
	dst, src, stride, n, p := a.load("dst", ""), a.load("src", ""), a.load("stride", ""), a.load("n", ""), a.general()
	a.label("four")
	a.line("MOVD %v, %v", src, p)
	for q := range quads {
		var r [4]V
		for i := range r {
			r[i] = a.loaded(p, 0)
			a.line("ADD %v, %v", stride, p)
		}
		for k, v := range a.turned(r) {
			a.store(v, dst, 64*k+16*q)
		}
	}
	a.line("ADD $16, %v", src)
	a.line("ADD $%d, %v", 4*64, dst)
	a.line("SUBS $4, %v", n)
	a.line("BNE four")
	a.end()
}

// turned is the columns of four rows of four.
func (a *asm) turned(r [4]V) [4]V {
	even, odd := a.make(trn1, r[0], r[1]), a.make(trn2, r[0], r[1])
	even2, odd2 := a.make(trn1, r[2], r[3]), a.make(trn2, r[2], r[3])
	return [4]V{a.make(trn1Pair, even, even2), a.make(trn1Pair, odd, odd2), a.make(trn2Pair, even, even2), a.make(trn2Pair, odd, odd2)}
}

// dots16NEON: t[o] += sum over a block of x[k] * w[o][k], for every block of inputs and 16 outputs whose
// weights are stride bytes apart. Products are turned so that an output is a lane, and then added in order.
func dots16NEON(a *asm) {
	args := a.arguments("dots16NEON", "dotArgs")
	w, stride, x, left := a.field(args, dotW), a.field(args, dotStride), a.field(args, dotX), a.field(args, dotN)
	n, p := a.general(), a.general()
	acc := a.keep(quads)
	a.label("block")
	a.take(n, left, 4*blockLines)
	a.clear(acc)
	a.label("four")
	xv := a.loaded(x, 0)
	a.line("MOVD %v, %v", w, p)
	for q := range acc {
		var r [4]V
		for i := range r {
			r[i] = a.make(fmul, a.loaded(p, 0), xv)
			a.line("ADD %v, %v", stride, p)
		}
		for _, v := range a.turned(r) {
			a.do(fadd, acc[q], acc[q], v)
		}
	}
	a.line("ADD $16, %v", w)
	a.line("ADD $16, %v", x)
	a.line("SUBS $4, %v", n)
	a.line("BNE four")
	for q, v := range acc {
		a.store(a.make(fadd, v, a.loaded(args, dotT+16*q)), args, dotT+16*q)
	}
	a.line("CBNZ %v, block", left)
	a.end()
}

func scaleRoundNEON(a *asm) {
	a.function("scaleRoundNEON", "(w, scale *float32, n int)", "multiplies n rows of 16 by a scale for each column and rounds to bfloat16.")
	w, scale, n := a.load("w", ""), a.load("scale", ""), a.load("n", "")
	s := a.keep(quads)
	for q := range s {
		a.fill("FMOVQ", mem(scale, 16*q), s[q])
	}
	a.label("row")
	v := make([]V, quads)
	for q := range v {
		v[q] = a.make(fmul, a.loaded(w, 16*q), s[q])
	}
	for q, r := range a.roundBF16(v) {
		a.store(r, w, 16*q)
	}
	a.line("ADD $64, %v", w)
	a.line("SUBS $1, %v", n)
	a.line("BNE row")
	a.end()
}

// packLinesNEON interleaves four inputs' weights of 16 outputs, as kernels.PackBlock does.
func packLinesNEON(a *asm) {
	a.function("packLinesNEON", "(dst, src *int8, stride, lines int)", "makes lines of a panel of four inputs each, 16 weights in a row, stride bytes apart; lines above 0.")
	dst, src, stride, n := a.load("dst", ""), a.load("src", ""), a.load("stride", ""), a.load("lines", "")
	r := a.keep(4)
	a.label("line")
	for i := range r {
		a.fill("FMOVQ", mem(src, 0), r[i])
		a.line("ADD %v, %v", stride, src)
	}
	a.line("VST4.P [V%d.B16, V%d.B16, V%d.B16, V%d.B16], %d(%v)", int(r[0]), int(r[1]), int(r[2]), int(r[3]), lineBytes, dst)
	a.line("SUBS $1, %v", n)
	a.line("BNE line")
	a.end()
}
