package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	units["float_avx2"] = func(c *build.Context) {
		for _, rows := range []int{1, 2, 4, 6} {
			floatRowsAVX2(c, fmt.Sprintf("floatRows%dAVX2", rows), rows, false)
			floatRowsAVX2(c, fmt.Sprintf("halfRows%dAVX2", rows), rows, true)
		}
		widenPanelAVX2(c)
		exactPairAVX2(c)
		scaleRoundAVX2(c)
		packLines(c)
	}
}

// floatRowsAVX2: sums[r] += x[r][k] * w[k] for 16 columns at a time, k ascending, each product rounded. A
// block is summed from zero and then added. half: the weights are bfloat16.
func floatRowsAVX2(c *build.Context, name string, rows int, half bool) {
	a := function(c, name, "floatArgs")
	sums, w, wStep, tiles := field(c, a, floatSums), field(c, a, floatW), field(c, a, floatWStep), field(c, a, floatTiles)
	x := make([]reg.GPVirtual, rows)
	for r := range x {
		x[r] = field(c, a, floatX+8*r)
	}
	wp, k := c.GP64(), c.GP64()
	c.Label("tile")
	acc := ymms(c, 2*rows)
	sp := c.GP64()
	each := func(move func(m operand.Mem, acc reg.VecVirtual)) {
		c.MOVQ(sums, sp)
		for r := range rows {
			for h := range 2 {
				move(at(sp, 32*h), acc[2*r+h])
			}
			if r+1 < rows {
				c.ADDQ(at(a, floatSumStep), sp)
			}
		}
	}
	zero(c, acc)
	c.CMPQ(at(a, floatBlock), imm(0))
	c.JNE(operand.LabelRef("begin"))
	each(func(m operand.Mem, acc reg.VecVirtual) { c.VMOVUPS(m, acc) })
	c.Label("begin")
	c.MOVQ(w, wp)
	c.XORQ(k, k)
	c.Label("input")
	w0, w1 := c.YMM(), c.YMM()
	if half {
		for i, v := range []reg.VecVirtual{w0, w1} {
			c.VPMOVZXWD(at(wp, 16*i), v)
			c.VPSLLD(operand.U8(16), v, v)
		}
	} else {
		c.VMOVUPS(at(wp, 0), w0)
		c.VMOVUPS(at(wp, 32), w1)
	}
	for r := range rows {
		xb, p := c.YMM(), c.YMM()
		c.VBROADCASTSS(indexed(x[r], k, 4, 0), xb)
		c.VMULPS(w0, xb, p)
		c.VADDPS(p, acc[2*r], acc[2*r])
		c.VMULPS(w1, xb, xb)
		c.VADDPS(xb, acc[2*r+1], acc[2*r+1])
	}
	c.ADDQ(wStep, wp)
	c.INCQ(k)
	c.CMPQ(k, at(a, floatK))
	c.JLT(operand.LabelRef("input"))
	c.CMPQ(at(a, floatBlock), imm(0))
	c.JEQ(operand.LabelRef("end"))
	each(func(m operand.Mem, acc reg.VecVirtual) { c.VADDPS(m, acc, acc) })
	c.Label("end")
	each(func(m operand.Mem, acc reg.VecVirtual) { c.VMOVUPS(acc, m) })
	c.ADDQ(imm(64), sums)
	c.ADDQ(imm(tileBytes(half)), w)
	c.DECQ(tiles)
	c.JNZ(operand.LabelRef("tile"))
	c.VZEROUPPER()
	c.RET()
}

// tileBytes is the size of 16 columns of weights.
func tileBytes(half bool) int {
	if half {
		return 32
	}
	return 64
}

// widenInput makes float32 of input j of a half line of int8.
func widenInput(c *build.Context, line, dst reg.Register, j int) {
	if j < 3 {
		c.VPSLLD(operand.U8(8*(3-j)), line, dst)
		c.VPSRAD(operand.U8(24), dst, dst)
	} else {
		c.VPSRAD(operand.U8(24), line, dst)
	}
	c.VCVTDQ2PS(dst, dst)
}

// widenPanelAVX2: dst[k][16] = float32 of lines of int8.
func widenPanelAVX2(c *build.Context) {
	p := leaf(c, "widenPanelAVX2", "func(dst *float32, w *int8, lines int)", "makes float32 [4*lines][16] of lines of a panel, lines above 0.", "dst", "w", "lines")
	dst, w, n := p[0], p[1], p[2]
	c.Label("line")
	for h := range 2 {
		v := c.YMM()
		c.VMOVDQU(at(w, 32*h), v)
		for j := range 4 {
			f := c.YMM()
			widenInput(c, v, f, j)
			c.VMOVUPS(f, at(dst, 64*j+32*h))
		}
	}
	c.ADDQ(imm(lineBytes), w)
	c.ADDQ(imm(4*lineBytes), dst)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("line"))
	c.VZEROUPPER()
	c.RET()
}

// exactPairAVX2: one row times two panels, t += block sum for every block of a scale group. Four chains
// of additions hide their latency.
func exactPairAVX2(c *build.Context) {
	a := function(c, "exactPairAVX2", "exactArgs")
	w, x, left := field(c, a, exactW), field(c, a, exactX), field(c, a, exactN)
	second, n, lines, sums := c.GP64(), c.GP64(), c.GP64(), field(c, a, exactSums)
	c.MOVQ(w, second)
	c.ADDQ(at(a, exactPitch), second)
	halves := []operand.Mem{at(w, 0), at(w, 32), at(second, 0), at(second, 32)}
	c.Label("block")
	full := c.GP64()
	c.MOVQ(operand.U32(4*blockLines), full)
	c.MOVQ(left, n)
	c.CMPQ(n, full)
	c.CMOVQGT(full, n)
	c.SUBQ(n, left)
	acc := ymms(c, 4)
	zero(c, acc)
	c.MOVQ(n, lines)
	c.SHRQ(operand.U8(2), lines)
	c.JZ(operand.LabelRef("tail"))
	c.Label("line")
	xb := ymms(c, 4)
	for j := range 4 {
		c.VBROADCASTSS(at(x, 4*j), xb[j])
	}
	c.PREFETCHNTA(at(w, prefetchAhead))
	c.PREFETCHNTA(at(second, prefetchAhead))
	for i, m := range halves {
		v := c.YMM()
		c.VMOVDQU(m, v)
		for j := range 4 {
			f := c.YMM()
			widenInput(c, v, f, j)
			c.VMULPS(f, xb[j], f)
			c.VADDPS(f, acc[i], acc[i])
		}
	}
	c.ADDQ(imm(lineBytes), w)
	c.ADDQ(imm(lineBytes), second)
	c.ADDQ(imm(16), x)
	c.DECQ(lines)
	c.JNZ(operand.LabelRef("line"))

	// The last line of a group may hold fewer than four inputs: shift by a count in a register.
	c.Label("tail")
	c.ANDQ(imm(3), n)
	c.JZ(operand.LabelRef("blockDone"))
	shift, step := c.XMM(), c.XMM()
	count := c.GP32()
	c.MOVL(operand.U32(24), count)
	c.VMOVD(count, shift)
	c.MOVL(operand.U32(8), count)
	c.VMOVD(count, step)
	c.Label("tailInput")
	xt := c.YMM()
	c.VBROADCASTSS(at(x, 0), xt)
	for i, m := range halves {
		f := c.YMM()
		c.VMOVDQU(m, f)
		c.VPSLLD(shift, f, f)
		c.VPSRAD(operand.U8(24), f, f)
		c.VCVTDQ2PS(f, f)
		c.VMULPS(f, xt, f)
		c.VADDPS(f, acc[i], acc[i])
	}
	c.VPSUBD(step, shift, shift)
	c.ADDQ(imm(4), x)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("tailInput"))
	c.ADDQ(imm(lineBytes), w)
	c.ADDQ(imm(lineBytes), second)

	c.Label("blockDone")
	for i, v := range acc {
		c.VADDPS(at(sums, 32*i), v, v)
		c.VMOVUPS(v, at(sums, 32*i))
	}
	c.TESTQ(left, left)
	c.JNZ(operand.LabelRef("block"))
	c.VZEROUPPER()
	c.RET()
}

// scaleRoundAVX2: w[k] = bfloat16(w[k] * scale), 16 columns, as tensor.RoundBF16 rounds.
func scaleRoundAVX2(c *build.Context) {
	p := leaf(c, "scaleRoundAVX2", "func(w, scale *float32, n int)", "multiplies n rows of 16 by a scale for each column and rounds to bfloat16.", "w", "scale", "n")
	w, scale, n := p[0], p[1], p[2]
	s := ymms(c, 2)
	c.VMOVUPS(at(scale, 0), s[0])
	c.VMOVUPS(at(scale, 32), s[1])
	half, one, quiet := c.YMM(), c.YMM(), c.YMM()
	constant := func(v uint32, dst reg.VecVirtual) {
		r := c.GP32()
		c.MOVL(operand.U32(v), r)
		c.VMOVD(r, dst.AsX())
		c.VPBROADCASTD(dst.AsX(), dst)
	}
	constant(0x7fff, half)
	constant(1, one)
	constant(0x400000, quiet)
	c.Label("row")
	for h := range 2 {
		v, odd, nan := c.YMM(), c.YMM(), c.YMM()
		c.VMULPS(at(w, 32*h), s[h], v)
		c.VCMPPS(operand.U8(3), v, v, nan) // unordered: a NaN
		c.VPSRLD(operand.U8(16), v, odd)
		c.VPAND(one, odd, odd)
		c.VPADDD(half, odd, odd)
		c.VPADDD(v, odd, odd)
		c.VPOR(quiet, v, v)
		c.VBLENDVPS(nan, v, odd, odd)
		c.VPSRLD(operand.U8(16), odd, odd)
		c.VPSLLD(operand.U8(16), odd, odd)
		c.VMOVUPS(odd, at(w, 32*h))
	}
	c.ADDQ(imm(64), w)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("row"))
	c.VZEROUPPER()
	c.RET()
}

// packLines interleaves four inputs' weights of 16 outputs, as kernels.PackBlock does.
func packLines(c *build.Context) {
	p := leaf(c, "packLinesAVX2", "func(dst, src *int8, stride, lines int)", "makes lines of a panel of four inputs each, 16 weights in a row, stride bytes apart; lines above 0.", "dst", "src", "stride", "lines")
	dst, src, stride, n := p[0], p[1], p[2], p[3]
	three := c.GP64()
	c.LEAQ(indexed(stride, stride, 2, 0), three)
	c.Label("line")
	var r [4]reg.VecVirtual
	for i, m := range []operand.Mem{at(src, 0), indexed(src, stride, 1, 0), indexed(src, stride, 2, 0), indexed(src, three, 1, 0)} {
		r[i] = c.XMM()
		c.VMOVDQU(m, r[i])
	}
	pair := func(a, b reg.VecVirtual) (lo, hi reg.VecVirtual) {
		lo, hi = c.XMM(), c.XMM()
		c.VPUNPCKLBW(b, a, lo)
		c.VPUNPCKHBW(b, a, hi)
		return lo, hi
	}
	ab, abHi := pair(r[0], r[1])
	cd, cdHi := pair(r[2], r[3])
	for i, p := range [][2]reg.VecVirtual{{ab, cd}, {abHi, cdHi}} {
		lo, hi := c.XMM(), c.XMM()
		c.VPUNPCKLWD(p[1], p[0], lo)
		c.VPUNPCKHWD(p[1], p[0], hi)
		c.VMOVDQU(lo, at(dst, 32*i))
		c.VMOVDQU(hi, at(dst, 32*i+16))
	}
	c.LEAQ(indexed(src, stride, 4, 0), src)
	c.ADDQ(imm(lineBytes), dst)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("line"))
	c.VZEROUPPER()
	c.RET()
}
