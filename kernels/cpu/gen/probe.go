package main

import (
	"strconv"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { units["probe"] = writeProbe }

// writeProbe writes loops that do one thing as fast as the processor can: read memory, or multiply.
func writeProbe(c *build.Context) {
	probeRead(c, "probeRead256", 32, func() reg.VecVirtual { return c.YMM() })
	probeRead(c, "probeRead512", 64, func() reg.VecVirtual { return c.ZMM() })
	ymm := func() reg.VecVirtual { return c.YMM() }
	zmm := func() reg.VecVirtual { return c.ZMM() }
	// Ten chains hide the latency of an addition at two or three a cycle; more need registers that AVX2 lacks.
	probeMultiply(c, "probeInt8AVX2", 10, ymm, func(sum, x, w, ones reg.VecVirtual) {
		t := c.YMM()
		c.VPMADDUBSW(w, x, t)
		c.VPMADDWD(ones, t, t)
		c.VPADDD(t, sum, sum)
	})
	probeMultiply(c, "probeFloatAVX2", 10, ymm, func(sum, x, w, _ reg.VecVirtual) {
		t := c.YMM()
		c.VMULPS(w, x, t)
		c.VADDPS(t, sum, sum)
	})
	probeMultiply(c, "probeInt8VNNI", 20, zmm, func(sum, x, w, _ reg.VecVirtual) {
		c.VPDPBUSD(w, x, sum)
	})
	probeMultiply(c, "probeInt8AVX512", 20, zmm, func(sum, x, w, ones reg.VecVirtual) {
		t := c.ZMM()
		c.VPMADDUBSW(w, x, t)
		c.VPMADDWD(ones, t, t)
		c.VPADDD(t, sum, sum)
	})
	probeMultiply(c, "probeFloatAVX512", 20, zmm, func(sum, x, w, _ reg.VecVirtual) {
		t := c.ZMM()
		c.VMULPS(w, x, t)
		c.VADDPS(t, sum, sum)
	})
}

// readAhead is how far before its use memory is asked for: a page, as the kernels do.
const readAhead = 4096

// probeRead reads n bytes at p, a multiple of eight registers, in one stream.
func probeRead(c *build.Context, name string, width int, register func() reg.VecVirtual) {
	c.Function(name)
	c.Pragma("noescape")
	c.SignatureExpr("func(p *byte, n int)")
	c.Doc(name + " reads n bytes at p, a multiple of " + strconv.Itoa(8*width) + ", once from beginning to end.")
	p, n := c.Load(c.Param("p"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	var sums []reg.VecVirtual
	for range 8 {
		sum := register()
		clearVector(c, sum, width)
		sums = append(sums, sum)
	}
	at := operand.Mem{Base: p.(reg.GPVirtual)}
	c.Label("loop")
	for i, sum := range sums {
		if i*width%64 == 0 {
			c.PREFETCHNTA(at.Offset(readAhead + i*width))
		}
		if width == 64 {
			c.VPXORQ(at.Offset(i*width), sum, sum)
		} else {
			c.VPXOR(at.Offset(i*width), sum, sum)
		}
	}
	c.ADDQ(operand.U32(8*width), p)
	c.SUBQ(operand.U32(8*width), n)
	c.JG(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

// probeMultiply runs rounds of multiplications that add to chains sums.
func probeMultiply(c *build.Context, name string, chains int, register func() reg.VecVirtual, multiply func(sum, x, w, ones reg.VecVirtual)) {
	c.Function(name)
	c.SignatureExpr("func(rounds int)")
	c.Doc(name + " multiplies and adds in registers: each round, one operation for each of " + strconv.Itoa(chains) + " sums.")
	rounds := c.Load(c.Param("rounds"), c.GP64())
	x, w, ones := register(), register(), register()
	width := int(x.Size())
	clearVector(c, x, width)
	clearVector(c, w, width)
	clearVector(c, ones, width)
	var sums []reg.VecVirtual
	for range chains {
		sum := register()
		clearVector(c, sum, width)
		sums = append(sums, sum)
	}
	c.Label("loop")
	for _, sum := range sums {
		multiply(sum, x, w, ones)
	}
	c.DECQ(rounds)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

func clearVector(c *build.Context, v reg.VecVirtual, width int) {
	if width == 64 {
		c.VPXORQ(v, v, v)
		return
	}
	c.VPXOR(v, v, v)
}
