package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Matrices stored output by output, as the embedding is: rows are turned into lanes, eight by eight.

func init() {
	units["turn_avx2"] = func(c *build.Context) {
		transposeAVX2(c)
		dots16AVX2(c)
	}
}

// transposeAVX2: dst[k][16] = src[o][k] for 16 outputs and n inputs, a multiple of 8.
func transposeAVX2(c *build.Context) {
	p := leaf(c, "transposeAVX2", "func(dst, src *float32, stride, n int)", "makes [n][16] of 16 rows, stride bytes apart; n is a multiple of 8 above 0.", "dst", "src", "stride", "n")
	dst, src, stride, n := p[0], p[1], p[2], p[3]
	three := c.GP64()
	c.LEAQ(indexed(stride, stride, 2, 0), three)
	next := c.GP64()
	c.MOVQ(stride, next)
	c.SHLQ(operand.U8(4), next)
	c.Label("eight")
	row, ahead := c.GP64(), c.GP64()
	c.MOVQ(src, row)
	c.LEAQ(indexed(src, next, 1, 0), ahead) // the outputs that come next
	for h := range 2 {
		r := ymms(c, 8)
		for q := range 2 {
			c.VMOVUPS(at(row, 0), r[4*q])
			c.VMOVUPS(indexed(row, stride, 1, 0), r[4*q+1])
			c.VMOVUPS(indexed(row, stride, 2, 0), r[4*q+2])
			c.VMOVUPS(indexed(row, three, 1, 0), r[4*q+3])
			c.LEAQ(indexed(row, stride, 4, 0), row)
			c.PREFETCHT0(at(ahead, 0))
			c.PREFETCHT0(indexed(ahead, stride, 1, 0))
			c.PREFETCHT0(indexed(ahead, stride, 2, 0))
			c.PREFETCHT0(indexed(ahead, three, 1, 0))
			c.LEAQ(indexed(ahead, stride, 4, 0), ahead)
		}
		for k, v := range transposed8(c, r) {
			c.VMOVUPS(v, at(dst, 64*k+32*h))
		}
	}
	c.ADDQ(imm(32), src)
	c.ADDQ(imm(8*64), dst)
	c.SUBQ(imm(8), n)
	c.JNZ(operand.LabelRef("eight"))
	c.VZEROUPPER()
	c.RET()
}

// dots16AVX2: t[o] += sum over a block of x[k] * w[o][k], for every block of inputs and 16 outputs whose
// weights are stride bytes apart. Products are turned so that an output is a lane, and then added in
// order. What is asked for ahead is further along the rows, or, near their end, the next 16 outputs.
func dots16AVX2(c *build.Context) {
	a := function(c, "dots16AVX2", "dotArgs")
	w, stride, x, left := field(c, a, dotW), field(c, a, dotStride), field(c, a, dotX), field(c, a, dotN)
	three, n, full, jump, p, ahead := c.GP64(), c.GP64(), c.GP64(), c.GP64(), c.GP64(), c.GP64()
	c.LEAQ(indexed(stride, stride, 2, 0), three)
	const reach = 256    // inputs
	c.MOVQ(stride, jump) // from the end of the rows to the next 16
	c.SHLQ(operand.U8(4), jump)
	c.LEAQ(indexed(left, left, 1, 0), n)
	c.SHLQ(operand.U8(1), n)
	c.SUBQ(n, jump)
	c.Label("block")
	c.MOVQ(operand.U32(4*blockLines), full)
	c.MOVQ(left, n)
	c.CMPQ(n, full)
	c.CMOVQGT(full, n)
	acc := ymms(c, 2)
	zero(c, acc)
	c.Label("eight")
	c.LEAQ(at(w, 4*reach), ahead)
	c.LEAQ(indexed(ahead, jump, 1, 0), p)
	c.CMPQ(left, operand.U32(reach))
	c.CMOVQLE(p, ahead)
	c.MOVQ(w, p)
	for h := range 2 {
		xv := c.YMM()
		c.VMOVUPS(at(x, 0), xv)
		r := ymms(c, 8)
		for q := range 2 {
			c.PREFETCHNTA(at(ahead, 0))
			c.PREFETCHNTA(indexed(ahead, stride, 1, 0))
			c.PREFETCHNTA(indexed(ahead, stride, 2, 0))
			c.PREFETCHNTA(indexed(ahead, three, 1, 0))
			c.VMULPS(at(p, 0), xv, r[4*q])
			c.VMULPS(indexed(p, stride, 1, 0), xv, r[4*q+1])
			c.VMULPS(indexed(p, stride, 2, 0), xv, r[4*q+2])
			c.VMULPS(indexed(p, three, 1, 0), xv, r[4*q+3])
			if h == 0 || q == 0 {
				c.LEAQ(indexed(p, stride, 4, 0), p)
				c.LEAQ(indexed(ahead, stride, 4, 0), ahead)
			}
		}
		for _, v := range transposed8(c, r) {
			c.VADDPS(v, acc[h], acc[h])
		}
	}
	c.ADDQ(imm(32), w)
	c.ADDQ(imm(32), x)
	c.SUBQ(imm(8), left)
	c.SUBQ(imm(8), n)
	c.JNZ(operand.LabelRef("eight"))
	for h, v := range acc {
		c.VADDPS(at(a, dotT+32*h), v, v)
		c.VMOVUPS(v, at(a, dotT+32*h))
	}
	c.TESTQ(left, left)
	c.JNZ(operand.LabelRef("block"))
	c.VZEROUPPER()
	c.RET()
}

// transposed8 is the columns of eight rows of eight.
func transposed8(c *build.Context, r []reg.VecVirtual) [8]reg.VecVirtual {
	var pairs, quads, out [8]reg.VecVirtual
	for i := 0; i < 8; i += 2 { // a0 b0 a1 b1 | a4 b4 a5 b5, and the same of 2, 3, 6, 7
		pairs[i], pairs[i+1] = c.YMM(), c.YMM()
		c.VUNPCKLPS(r[i+1], r[i], pairs[i])
		c.VUNPCKHPS(r[i+1], r[i], pairs[i+1])
	}
	for i := 0; i < 8; i += 4 { // a b c d of one column in each half
		for j := range 2 {
			quads[i+2*j], quads[i+2*j+1] = c.YMM(), c.YMM()
			c.VUNPCKLPD(pairs[i+2+j], pairs[i+j], quads[i+2*j])
			c.VUNPCKHPD(pairs[i+2+j], pairs[i+j], quads[i+2*j+1])
		}
	}
	for i := range 4 {
		out[i], out[i+4] = c.YMM(), c.YMM()
		c.VPERM2F128(operand.U8(0x20), quads[i+4], quads[i], out[i])
		c.VPERM2F128(operand.U8(0x31), quads[i+4], quads[i], out[i+4])
	}
	return out
}
