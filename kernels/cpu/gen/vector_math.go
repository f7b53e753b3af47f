package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Arithmetic of a lane, and the functions of kernels/ref/math.go, operation by operation. Where a
// function there branches, all branches are computed and one is chosen. Any NaN is as good as another.

// add is a + b. One operand may be a constant in memory, here and below.
func (v *vec) add(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.VADDPS(v.fit(b), v.held(a), r)
	return r
}

// sub is a - b.
func (v *vec) sub(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.VSUBPS(v.fit(b), v.held(a), r)
	return r
}

// mul is a * b.
func (v *vec) mul(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.VMULPS(v.fit(b), v.held(a), r)
	return r
}

// div is a / b.
func (v *vec) div(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.VDIVPS(v.fit(b), v.held(a), r)
	return r
}

// bitwise writes an instruction that has one name in AVX2 and another in AVX-512.
func (v *vec) bitwise(avx2 func(b, a, r operand.Op), avx512 func(...operand.Op), a, b, r operand.Op) {
	if v.lanes == 16 {
		avx512(b, a, r)
		return
	}
	avx2(b, a, r)
}

func (v *vec) and(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.bitwise(v.VPAND, v.VPANDD, v.held(a), v.fit(b), r)
	return r
}

func (v *vec) or(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.bitwise(v.VPOR, v.VPORD, v.held(a), v.fit(b), r)
	return r
}

// addInt is a + b as 32-bit integers.
func (v *vec) addInt(a, b operand.Op) reg.VecVirtual {
	r := v.new()
	v.VPADDD(v.fit(b), v.held(a), r)
	return r
}

func (v *vec) shiftLeft(a reg.VecVirtual, bits uint64) reg.VecVirtual {
	r := v.new()
	v.VPSLLD(operand.Imm(bits), a, r)
	return r
}

func (v *vec) shiftRight(a reg.VecVirtual, bits uint64) reg.VecVirtual {
	r := v.new()
	v.VPSRLD(operand.Imm(bits), a, r)
	return r
}

// Comparisons: false when an operand is NaN, but for unordered.
const (
	unordered = operand.U8(0x03)
	less      = operand.U8(0x11)
	greater   = operand.U8(0x1e)
)

// choose is yes in the lanes where a stands in that relation to b, else no.
func (v *vec) choose(a operand.Op, relation operand.U8, b, yes, no operand.Op) reg.VecVirtual {
	r := v.new()
	if v.lanes == 16 {
		k := v.K()
		v.VCMPPS(relation, b, v.held(a), k)
		v.VBLENDMPS(yes, v.held(no), k, r)
		return r
	}
	where := v.new()
	v.VCMPPS(relation, v.fit(b), v.held(a), where)
	v.VBLENDVPS(where, v.fit(yes), v.held(no), r)
	return r
}

// horner is a polynomial in x, by coefficients from the highest power down.
func (v *vec) horner(x reg.VecVirtual, coefficients ...float32) reg.VecVirtual {
	p := v.mul(x, v.float(coefficients[0]))
	for _, c := range coefficients[1 : len(coefficients)-1] {
		p = v.mul(v.add(p, v.float(c)), x)
	}
	return v.add(p, v.float(coefficients[len(coefficients)-1]))
}

// expInside is ref.Exp between its bounds and for NaN; anything elsewhere.
func (v *vec) expInside(x reg.VecVirtual) reg.VecVirtual {
	const magic = float32(3 << 22)
	t := v.add(v.mul(x, v.float(1.44269504088896341)), v.float(magic))
	n := v.sub(t, v.float(magic))
	r := v.sub(x, v.mul(n, v.float(0.693359375)))
	r = v.sub(r, v.mul(n, v.float(-2.12194440e-4)))
	p := v.horner(r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	y := v.add(v.mul(p, v.mul(r, r)), r)
	y = v.add(y, v.float(1))
	// The lowest bits of t are n: shifted to the exponent they leave nothing of the magic number.
	return v.mul(y, v.addInt(v.shiftLeft(t, 23), v.float(1)))
}

// exp is ref.Exp.
func (v *vec) exp(x reg.VecVirtual) reg.VecVirtual {
	y := v.expInside(x)
	y = v.choose(x, less, v.float(-87.33), v.float(0), y)
	return v.choose(x, greater, v.float(88.37), v.float(float32(math.Inf(1))), y)
}

const (
	signBit  = 1 << 31
	highHalf = 0xffff0000
)

// tanh is ref.Tanh. The magnitude is taken twice and the large case comes first, to save registers.
func (v *vec) tanh(x reg.VecVirtual) reg.VecVirtual {
	bounded := v.new()
	v.VMINPS(v.and(x, v.bits(signBit-1)), v.held(v.float(10)), bounded) // the magnitude, when that is NaN
	e := v.expInside(v.add(bounded, bounded))
	y := v.sub(v.float(1), v.div(v.float(2), v.add(e, v.float(1))))
	y = v.or(y, v.and(x, v.bits(signBit)))

	z := v.mul(x, x)
	p := v.horner(z, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	small := v.add(v.mul(v.mul(p, z), x), x)
	return v.choose(v.and(x, v.bits(signBit-1)), less, v.float(0.625), small, y)
}

// geluFactor is what ref.Gelu multiplies x by.
func (v *vec) geluFactor(x reg.VecVirtual) reg.VecVirtual {
	cubic := v.mul(v.mul(v.mul(x, x), x), v.float(0.044715))
	inner := v.mul(v.add(x, cubic), v.float(0.7978845608028654))
	return v.mul(v.add(v.tanh(inner), v.float(1)), v.float(0.5))
}

// bf16 is tensor.ToBF16 in the upper half of each lane, and anything in the lower.
func (v *vec) bf16(x reg.VecVirtual) reg.VecVirtual {
	odd := v.and(v.shiftRight(x, 16), v.bits(1))
	rounded := v.addInt(v.addInt(x, v.bits(0x7fff)), odd)
	return v.choose(x, unordered, x, v.or(x, v.bits(0x400000)), rounded)
}

// roundBF16 is tensor.RoundBF16.
func (v *vec) roundBF16(x reg.VecVirtual) reg.VecVirtual { return v.and(v.bf16(x), v.bits(highHalf)) }
