package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets in the argument structs of kernels/cpu/panel.go, which a test compares.
const (
	int8W, int8X, int8XScales, int8Bias, int8Lines, int8Scale, int8Y, int8T = 0, 8, 16, 24, 32, 40, 48, 144

	floatSums, floatSumStep, floatW, floatWStep, floatK, floatTiles, floatBlock, floatX = 0, 8, 16, 24, 32, 40, 48, 56

	exactW, exactPitch, exactX, exactN, exactSums = 0, 8, 16, 24, 32

	dotW, dotStride, dotX, dotN, dotT = 0, 8, 16, 24, 32
)

// blockLines is the number of lines in a block of inputs, prefetchAhead the distance in bytes at which a
// linear read asks for what it will need.
const (
	blockLines    = 32
	lineBytes     = 64
	prefetchAhead = 4096
)

const noSplit = 4

// at is a memory operand.
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func indexed(base, index reg.Register, scale uint8, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

// function begins one that takes a pointer to an argument struct, and returns that pointer.
func function(c *build.Context, name, args string) reg.Register {
	c.Function(name)
	c.Attributes(noSplit)
	c.SignatureExpr("func(a *byte)") // args is not known to the generator
	c.Pragma("noescape")
	c.Doc(fmt.Sprintf("%s takes an %s.", name, args))
	a := c.GP64()
	c.Load(c.Param("a"), a)
	return a
}

// leaf begins a function with plain parameters, all of 64 bits, and returns them in registers.
func leaf(c *build.Context, name, signature, doc string, params ...string) []reg.GPVirtual {
	c.Function(name)
	c.Attributes(noSplit)
	c.SignatureExpr(signature)
	c.Pragma("noescape")
	c.Doc(name + " " + doc)
	regs := make([]reg.GPVirtual, len(params))
	for i, p := range params {
		regs[i] = c.GP64()
		c.Load(c.Param(p), regs[i])
	}
	return regs
}

func field(c *build.Context, a reg.Register, offset int) reg.GPVirtual {
	r := c.GP64()
	c.MOVQ(at(a, offset), r)
	return r
}

// imm is a constant in the shortest form that arithmetic takes; a byte is extended by its sign.
func imm(n int) operand.Op {
	if n < 128 {
		return operand.U8(n)
	}
	return operand.U32(n)
}
