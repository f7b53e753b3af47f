package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	units["panel_avx512"] = func(c *build.Context) {
		for _, rows := range []int{4, 8, 12} { // fewer have the loops of AVX2
			int8RowsVNNI(c, rows)
		}
		for _, rows := range []int{1, 2, 4, 8} {
			floatRowsAVX512(c, fmt.Sprintf("floatRows%dAVX512", rows), rows, false)
			floatRowsAVX512(c, fmt.Sprintf("halfRows%dAVX512", rows), rows, true)
		}
		widenPanelAVX512(c)
		exactQuadAVX512(c)
	}
}

func zmms(c *build.Context, n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = c.ZMM()
	}
	return v
}

// int8RowsVNNI: VPDPBUSD wants one operand unsigned, so the weights' sign bits are flipped, which adds
// 128 to each, and a block's sum begins with -128 times the sum of its activations.
func int8RowsVNNI(c *build.Context, rows int) {
	a := function(c, fmt.Sprintf("int8Rows%dVNNI", rows), "int8Args")
	w, x, scales, lines := field(c, a, int8W), field(c, a, int8X), field(c, a, int8XScales), field(c, a, int8Lines)
	bias := field(c, a, int8Bias)
	flip := c.ZMM()
	sign := c.GP32()
	c.MOVL(operand.U32(0x80808080), sign)
	c.VPBROADCASTD(sign, flip)
	z := c.ZMM()
	c.VPXORD(z, z, z)
	for r := range rows {
		c.VMOVUPS(z, at(a, int8T+64*r))
	}
	n := c.GP64()
	c.Label("block")
	blockLength(c, n, lines)
	unroll := max(4/rows, 1) // few rows need several sums each, to hide the latency of additions
	acc := zmms(c, rows*unroll)
	for r := range rows {
		c.VPBROADCASTD(at(bias, 4*r), acc[r])
	}
	for _, more := range acc[rows:] {
		c.VPXORD(more, more, more)
	}
	c.ADDQ(imm(4*rows), bias)
	loop(c, "line", n, unroll, func(i int) {
		v := c.ZMM()
		if rows <= 4 {
			c.PREFETCHNTA(at(w, prefetchAhead+i*lineBytes))
		} else { // more rows will follow, and read the panel from a cache
			c.PREFETCHT0(at(w, prefetchAhead+i*lineBytes))
		}
		c.VPXORD(at(w, i*lineBytes), flip, v)
		for r := range rows {
			c.VPDPBUSD_BCST(at(x, 4*(i*rows+r)), v, acc[i*rows+r])
		}
	}, func(lines int) {
		c.ADDQ(imm(lines*lineBytes), w)
		c.ADDQ(imm(4*rows*lines), x)
	})
	for i := rows; i < len(acc); i++ {
		c.VPADDD(acc[i], acc[i%rows], acc[i%rows])
	}
	for r := range rows {
		c.VCVTDQ2PS(acc[r], acc[r])
		c.VMULPS_BCST(at(scales, 4*r), acc[r], acc[r])
		c.VADDPS(at(a, int8T+64*r), acc[r], acc[r])
		c.VMOVUPS(acc[r], at(a, int8T+64*r))
	}
	c.ADDQ(imm(4*rows), scales)
	c.TESTQ(lines, lines)
	c.JNZ(operand.LabelRef("block"))

	scale, s := field(c, a, int8Scale), c.ZMM()
	c.VMOVUPS(at(scale, 0), s)
	for r := range rows {
		y, v := field(c, a, int8Y+8*r), c.ZMM()
		c.VMULPS(at(a, int8T+64*r), s, v)
		c.VADDPS(at(y, 0), v, v)
		c.VMOVUPS(v, at(y, 0))
	}
	c.VZEROUPPER()
	c.RET()
}

// floatRowsAVX512 is floatRowsAVX2 with one register for 16 columns.
func floatRowsAVX512(c *build.Context, name string, rows int, half bool) {
	a := function(c, name, "floatArgs")
	sums, w, tiles := field(c, a, floatSums), field(c, a, floatW), field(c, a, floatTiles)
	x := make([]reg.GPVirtual, rows)
	for r := range x {
		x[r] = field(c, a, floatX+8*r)
	}
	wp, k, sp := c.GP64(), c.GP64(), c.GP64()
	acc := zmms(c, rows)
	each := func(move func(r int)) {
		c.MOVQ(sums, sp)
		for r := range rows {
			move(r)
			if r+1 < rows {
				c.ADDQ(at(a, floatSumStep), sp)
			}
		}
	}
	c.Label("tile")
	for _, v := range acc {
		c.VPXORD(v, v, v)
	}
	c.CMPQ(at(a, floatBlock), imm(0))
	c.JNE(operand.LabelRef("begin"))
	each(func(r int) { c.VMOVUPS(at(sp, 0), acc[r]) })
	c.Label("begin")
	c.MOVQ(w, wp)
	c.XORQ(k, k)
	c.Label("input")
	v := c.ZMM()
	if half {
		c.VPMOVZXWD(at(wp, 0), v)
		c.VPSLLD(operand.U8(16), v, v)
	} else {
		c.VMOVUPS(at(wp, 0), v)
	}
	for r := range rows {
		p := c.ZMM()
		c.VMULPS_BCST(indexed(x[r], k, 4, 0), v, p)
		c.VADDPS(p, acc[r], acc[r])
	}
	c.ADDQ(at(a, floatWStep), wp)
	c.INCQ(k)
	c.CMPQ(k, at(a, floatK))
	c.JLT(operand.LabelRef("input"))
	c.CMPQ(at(a, floatBlock), imm(0))
	c.JEQ(operand.LabelRef("end"))
	each(func(r int) { c.VADDPS(at(sp, 0), acc[r], acc[r]) })
	c.Label("end")
	each(func(r int) { c.VMOVUPS(acc[r], at(sp, 0)) })
	c.ADDQ(imm(64), sums)
	c.ADDQ(imm(tileBytes(half)), w)
	c.DECQ(tiles)
	c.JNZ(operand.LabelRef("tile"))
	c.VZEROUPPER()
	c.RET()
}

// widenInput512 makes float32 of input j of a line of int8.
func widenInput512(c *build.Context, line, dst reg.Register, j int) {
	if j < 3 {
		c.VPSLLD(operand.U8(8*(3-j)), line, dst)
		c.VPSRAD(operand.U8(24), dst, dst)
	} else {
		c.VPSRAD(operand.U8(24), line, dst)
	}
	c.VCVTDQ2PS(dst, dst)
}

func widenPanelAVX512(c *build.Context) {
	p := leaf(c, "widenPanelAVX512", "func(dst *float32, w *int8, lines int)", "makes float32 [4*lines][16] of lines of a panel, lines above 0.", "dst", "w", "lines")
	dst, w, n := p[0], p[1], p[2]
	c.Label("line")
	v := c.ZMM()
	c.VMOVDQU32(at(w, 0), v)
	for j := range 4 {
		f := c.ZMM()
		widenInput512(c, v, f, j)
		c.VMOVUPS(f, at(dst, 64*j))
	}
	c.ADDQ(imm(lineBytes), w)
	c.ADDQ(imm(4*lineBytes), dst)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("line"))
	c.VZEROUPPER()
	c.RET()
}

// exactQuadAVX512: one row times four panels, as exactPairAVX2.
func exactQuadAVX512(c *build.Context) {
	a := function(c, "exactQuadAVX512", "exactArgs")
	x, left, sums, pitch := field(c, a, exactX), field(c, a, exactN), field(c, a, exactSums), field(c, a, exactPitch)
	n, lines := c.GP64(), c.GP64()
	w := []reg.GPVirtual{field(c, a, exactW)}
	for range 3 {
		p := c.GP64()
		c.LEAQ(indexed(w[len(w)-1], pitch, 1, 0), p)
		w = append(w, p)
	}
	advance := func() {
		for _, p := range w {
			c.ADDQ(imm(lineBytes), p)
		}
	}
	acc := zmms(c, 4)
	full := c.GP64()
	c.Label("block")
	c.MOVQ(operand.U32(4*blockLines), full)
	c.MOVQ(left, n)
	c.CMPQ(n, full)
	c.CMOVQGT(full, n)
	c.SUBQ(n, left)
	for _, v := range acc {
		c.VPXORD(v, v, v)
	}
	c.MOVQ(n, lines)
	c.SHRQ(operand.U8(2), lines)
	c.JZ(operand.LabelRef("tail"))
	c.Label("line")
	for i, p := range w {
		v := c.ZMM()
		c.PREFETCHNTA(at(p, prefetchAhead))
		c.VMOVDQU32(at(p, 0), v)
		for j := range 4 {
			f := c.ZMM()
			widenInput512(c, v, f, j)
			c.VMULPS_BCST(at(x, 4*j), f, f)
			c.VADDPS(f, acc[i], acc[i])
		}
	}
	advance()
	c.ADDQ(imm(16), x)
	c.DECQ(lines)
	c.JNZ(operand.LabelRef("line"))

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
	for i, p := range w {
		f := c.ZMM()
		c.VMOVDQU32(at(p, 0), f)
		c.VPSLLD(shift, f, f)
		c.VPSRAD(operand.U8(24), f, f)
		c.VCVTDQ2PS(f, f)
		c.VMULPS_BCST(at(x, 0), f, f)
		c.VADDPS(f, acc[i], acc[i])
	}
	c.VPSUBD(step, shift, shift)
	c.ADDQ(imm(4), x)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("tailInput"))
	advance()

	c.Label("blockDone")
	for i, v := range acc {
		c.VADDPS(at(sums, 64*i), v, v)
		c.VMOVUPS(v, at(sums, 64*i))
	}
	c.TESTQ(left, left)
	c.JNZ(operand.LabelRef("block"))
	c.VZEROUPPER()
	c.RET()
}
