package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	units["panel_avx2"] = func(c *build.Context) {
		for _, rows := range []int{1, 2, 4} {
			int8WholeAVX2(c, rows)
		}
		int8SplitAVX2(c, 8)
	}
}

// dotter multiplies int8 values by groups of four with AVX2: the weight's magnitude as unsigned operand,
// the activation with the weight's sign as signed one. 2*128*127 < 2^15, so no sum saturates.
type dotter struct {
	c    *build.Context
	ones reg.VecVirtual
}

func newDotter(c *build.Context) *dotter {
	d := &dotter{c: c, ones: c.YMM()}
	c.VPCMPEQW(d.ones, d.ones, d.ones)
	c.VPSRLW(operand.U8(15), d.ones, d.ones)
	return d
}

// add adds the products of weights w (magnitudes magn) with activations x to acc; x is overwritten.
func (d *dotter) add(acc, w, magn, x, temp reg.Register) {
	d.c.VPSIGNB(w, x, temp)
	d.c.VPMADDUBSW(temp, magn, temp)
	d.c.VPMADDWD(d.ones, temp, temp)
	d.c.VPADDD(temp, acc, acc)
}

func ymms(c *build.Context, n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = c.YMM()
	}
	return v
}

func zero(c *build.Context, v []reg.VecVirtual) {
	for _, r := range v {
		c.VPXOR(r, r, r)
	}
}

// int8WholeAVX2 is for few rows: whole lines, each read once, with a prefetch.
func int8WholeAVX2(c *build.Context, rows int) {
	a := function(c, fmt.Sprintf("int8Rows%dAVX2", rows), "int8Args")
	w, x, scales, lines := field(c, a, int8W), field(c, a, int8X), field(c, a, int8XScales), field(c, a, int8Lines)
	d := newDotter(c)
	clearSums(c, a, rows)
	n := c.GP64()
	c.Label("block")
	blockLength(c, n, lines)
	acc := ymms(c, 2*rows)
	zero(c, acc)
	line := func(i int) {
		w0, w1, m0, m1 := c.YMM(), c.YMM(), c.YMM(), c.YMM()
		xb, temp := c.YMM(), c.YMM()
		c.PREFETCHNTA(at(w, prefetchAhead+i*lineBytes))
		c.VMOVDQU(at(w, i*lineBytes), w0)
		c.VMOVDQU(at(w, i*lineBytes+32), w1)
		c.VPABSB(w0, m0)
		c.VPABSB(w1, m1)
		for r := range rows {
			c.VPBROADCASTD(at(x, 4*(i*rows+r)), xb)
			d.add(acc[2*r], w0, m0, xb, temp)
			d.add(acc[2*r+1], w1, m1, xb, temp)
		}
	}
	unroll := 4 / rows
	loop(c, "line", n, unroll, line, func(lines int) {
		c.ADDQ(imm(lines*lineBytes), w)
		c.ADDQ(imm(4*rows*lines), x)
	})
	for r := range rows {
		s := c.YMM()
		c.VBROADCASTSS(at(scales, 4*r), s)
		for h := range 2 {
			addBlock(c, acc[2*r+h], s, at(a, int8T+64*r+32*h))
		}
	}
	c.ADDQ(imm(4*rows), scales)
	c.TESTQ(lines, lines)
	c.JNZ(operand.LabelRef("block"))
	endGroupAVX2(c, a, rows)
}

// int8SplitAVX2 is for more rows: the halves of the lines of a block one after the other, so that the
// sums of all rows stay in registers.
func int8SplitAVX2(c *build.Context, rows int) {
	a := function(c, fmt.Sprintf("int8Rows%dAVX2", rows), "int8Args")
	w, x, scales, lines := field(c, a, int8W), field(c, a, int8X), field(c, a, int8XScales), field(c, a, int8Lines)
	d := newDotter(c)
	clearSums(c, a, rows)
	n, wp, xp, left := c.GP64(), c.GP64(), c.GP64(), c.GP64()
	c.Label("block")
	blockLength(c, n, lines)
	for h := range 2 {
		acc := ymms(c, rows)
		zero(c, acc)
		c.LEAQ(at(w, 32*h), wp)
		c.MOVQ(x, xp)
		c.MOVQ(n, left)
		loop(c, fmt.Sprintf("half%d", h), left, 2, func(i int) {
			wv, m, xb := c.YMM(), c.YMM(), c.YMM()
			if h == 0 {
				c.PREFETCHT0(at(wp, prefetchAhead+i*lineBytes))
			}
			c.VMOVDQU(at(wp, i*lineBytes), wv)
			c.VPABSB(wv, m)
			for r := range rows {
				c.VPBROADCASTD(at(xp, 4*(i*rows+r)), xb)
				d.add(acc[r], wv, m, xb, xb)
			}
		}, func(lines int) {
			c.ADDQ(imm(lines*lineBytes), wp)
			c.ADDQ(imm(4*rows*lines), xp)
		})
		for r := range rows {
			s := c.YMM()
			c.VBROADCASTSS(at(scales, 4*r), s)
			addBlock(c, acc[r], s, at(a, int8T+64*r+32*h))
		}
	}
	c.LEAQ(at(wp, -32), w)
	c.MOVQ(xp, x)
	c.ADDQ(imm(4*rows), scales)
	c.TESTQ(lines, lines)
	c.JNZ(operand.LabelRef("block"))
	endGroupAVX2(c, a, rows)
}

// blockLength takes a block's lines from those that are left.
func blockLength(c *build.Context, n, lines reg.GPVirtual) {
	full := c.GP64()
	c.MOVQ(operand.U32(blockLines), full)
	c.MOVQ(lines, n)
	c.CMPQ(n, full)
	c.CMOVQGT(full, n)
	c.SUBQ(n, lines)
}

// loop runs body count times, unrolled; advance moves the pointers by that many turns. It ends with count
// at zero.
func loop(c *build.Context, name string, count reg.GPVirtual, unroll int, body, advance func(i int)) {
	if unroll > 1 {
		c.SUBQ(imm(unroll), count)
		c.JLT(operand.LabelRef(name + "Rest"))
		c.Label(name + "Many")
		for i := range unroll {
			body(i)
		}
		advance(unroll)
		c.SUBQ(imm(unroll), count)
		c.JGE(operand.LabelRef(name + "Many"))
		c.Label(name + "Rest")
		c.ADDQ(imm(unroll), count)
		c.JZ(operand.LabelRef(name + "Done"))
	}
	c.Label(name + "One")
	body(0)
	advance(1)
	c.DECQ(count)
	c.JNZ(operand.LabelRef(name + "One"))
	if unroll > 1 {
		c.Label(name + "Done")
	}
}

func clearSums(c *build.Context, a reg.Register, rows int) {
	z := c.YMM()
	c.VPXOR(z, z, z)
	for i := range 2 * rows {
		c.VMOVUPS(z, at(a, int8T+32*i))
	}
}

// addBlock: t += float32(sum) * scale. sum is overwritten.
func addBlock(c *build.Context, sum, scale reg.Register, t operand.Mem) {
	c.VCVTDQ2PS(sum, sum)
	c.VMULPS(scale, sum, sum)
	c.VADDPS(t, sum, sum)
	c.VMOVUPS(sum, t)
}

// endGroupAVX2: y += t * scale for every row, and the end of the function.
func endGroupAVX2(c *build.Context, a reg.Register, rows int) {
	scale := field(c, a, int8Scale)
	s := ymms(c, 2)
	for h := range 2 {
		c.VMOVUPS(at(scale, 32*h), s[h])
	}
	for r := range rows {
		y := field(c, a, int8Y+8*r)
		for h := range 2 {
			v := c.YMM()
			c.VMULPS(at(a, int8T+64*r+32*h), s[h], v)
			c.VADDPS(at(y, 32*h), v, v)
			c.VMOVUPS(v, at(y, 32*h))
		}
	}
	c.VZEROUPPER()
	c.RET()
}
