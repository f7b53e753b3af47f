package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vec writes loops on vectors, alike for registers of 8 and of 16 lanes. Each operation has one rounding
// and is written where the Go version has it, so that both give the same bits: a new register for each
// result, operands in the order of the formula.
type vec struct {
	*build.Context
	lanes  int    // 8: AVX2; 16: AVX-512 F, BW, VL
	suffix string // of the functions' names
	consts map[uint32]operand.Mem
	labels int

	// The loop at hand.
	index reg.Register
	ahead int          // elements from the index to the vector at hand
	rest  bool         // behind the last whole vector: single elements on AVX2, a mask on AVX-512
	mask  reg.Register // of the elements that there are
}

// function begins a function that does not let its arguments escape.
func (v *vec) function(name, signature, doc string) {
	v.Function(name + v.suffix)
	v.Attributes(attr.NOSPLIT)
	v.SignatureExpr("func" + signature)
	v.Pragma("noescape")
	v.Doc(name + v.suffix + " is " + doc + ".")
	v.labels, v.rest = 0, false
}

// end returns, after what uses the upper halves of registers.
func (v *vec) end() {
	v.VZEROUPPER()
	v.RET()
}

// endWith returns a float32.
func (v *vec) endWith(x reg.VecVirtual) {
	v.VZEROUPPER()
	v.Store(x.AsX(), v.ReturnIndex(0))
	v.RET()
}

func (v *vec) label(name string) string {
	v.labels++
	return fmt.Sprintf("%s%d", name, v.labels)
}

// base is where a slice begins, length how many elements it has.
func (v *vec) base(slice string) reg.Register { return v.Load(v.Param(slice).Base(), v.GP64()) }

func (v *vec) length(slice string) reg.Register { return v.Load(v.Param(slice).Len(), v.GP64()) }

// scalar is a float32 parameter in every lane.
func (v *vec) scalar(name string) reg.VecVirtual {
	param, err := v.Param(name).Resolve()
	if err != nil {
		panic(fmt.Sprintf("BUG: gen: parameter %s: %v", name, err))
	}
	bits, x := v.GP32(), v.XMM()
	v.MOVL(param.Addr, bits)
	v.VMOVD(bits, x)
	return v.broadcast(x)
}

func (v *vec) broadcast(x reg.VecVirtual) reg.VecVirtual {
	all := v.newFull()
	v.VBROADCASTSS(x.AsX(), all)
	return all
}

// onStack keeps a register in memory.
func (v *vec) onStack(x reg.VecVirtual) operand.Mem {
	m := v.AllocLocal(4 * v.lanes)
	v.VMOVUPS(x, m)
	return m
}

// newFull is a register of all lanes.
func (v *vec) newFull() reg.VecVirtual {
	if v.lanes == 16 {
		return v.ZMM()
	}
	return v.YMM()
}

// new is a register of the loop at hand.
func (v *vec) new() reg.VecVirtual {
	if v.rest && v.lanes == 8 {
		return v.XMM()
	}
	return v.newFull()
}

// fit is an operand with the lanes of the loop at hand.
func (v *vec) fit(op operand.Op) operand.Op {
	if r, ok := op.(reg.VecVirtual); ok && v.rest && v.lanes == 8 {
		return r.AsX()
	}
	return op
}

// held is an operand in a register.
func (v *vec) held(op operand.Op) operand.Op {
	if m, ok := op.(operand.Mem); ok {
		r := v.new()
		v.VMOVUPS(m, r)
		return r
	}
	return v.fit(op)
}

// zero is +0 in all lanes.
func (v *vec) zero() reg.VecVirtual {
	r := v.newFull()
	v.bitwise(v.VPXOR, v.VPXORD, r, r, r)
	return r
}

// bits is a constant in every lane, in memory.
func (v *vec) bits(b uint32) operand.Mem {
	if m, ok := v.consts[b]; ok {
		return m
	}
	m := v.StaticGlobal(fmt.Sprintf("x%08x%s", b, v.suffix))
	v.DataAttributes(attr.RODATA | attr.NOPTR)
	for range v.lanes / 2 {
		v.AppendDatum(operand.U64(uint64(b)<<32 | uint64(b)))
	}
	v.consts[b] = m
	return m
}

func (v *vec) float(f float32) operand.Mem { return v.bits(math.Float32bits(f)) }

// each writes body for all n elements: for several vectors at a time, for one at a time, for the rest.
func (v *vec) each(n reg.Register, strands int, body func()) {
	v.index = v.GP64()
	v.XORQ(v.index, v.index)
	v.pass(n, strands, body)
	v.pass(n, 1, body)

	rest, done := v.label("rest"), v.label("done")
	v.rest = true
	v.Label(rest)
	v.CMPQ(v.index, n)
	v.JGE(operand.LabelRef(done))
	if v.lanes == 16 {
		v.maskRest(n)
		body()
	} else {
		body()
		v.INCQ(v.index)
		v.JMP(operand.LabelRef(rest))
	}
	v.Label(done)
	v.rest = false
}

// pass goes on through n elements by that many vectors, as long as there are as many.
func (v *vec) pass(n reg.Register, strands int, body func()) {
	step, last := strands*v.lanes, v.GP64()
	v.MOVQ(n, last)
	v.SUBQ(operand.Imm(uint64(step)), last)
	loop, test := v.label("loop"), v.label("test")
	v.JMP(operand.LabelRef(test))
	v.Label(loop)
	v.interleave(strands, body)
	v.ADDQ(operand.Imm(uint64(step)), v.index)
	v.Label(test)
	v.CMPQ(v.index, last)
	v.JLE(operand.LabelRef(loop))
}

// interleave writes body for several vectors, instruction by instruction: a long chain of operations that
// wait for each other fills the processor only together with others like it.
func (v *vec) interleave(strands int, body func()) {
	file, _ := v.Result() // its errors are reported at the end
	all := file.Functions()
	f := all[len(all)-1]
	begin := len(f.Nodes)
	var written [][]ir.Node
	for i := range strands {
		v.ahead = i * v.lanes
		from := len(f.Nodes)
		body()
		written = append(written, slices.Clone(f.Nodes[from:]))
	}
	v.ahead = 0
	f.Nodes = f.Nodes[:begin]
	for i := range written[0] {
		for _, w := range written {
			f.Nodes = append(f.Nodes, w[i])
		}
	}
}

// maskRest makes the mask of elements index to n-1, fewer than 16.
func (v *vec) maskRest(n reg.Register) {
	v.MOVQ(n, reg.RCX)
	v.SUBQ(v.index, reg.RCX)
	bits := v.GP32()
	v.MOVL(operand.U32(1), bits)
	v.SHLL(reg.CL, bits)
	v.DECL(bits)
	v.mask = v.K()
	v.KMOVW(bits, v.mask)
}

// place is the loop's place in a slice of elements of that many bytes.
func (v *vec) place(base reg.Register, bytes uint8) operand.Mem {
	return operand.Mem{Base: base, Index: v.index, Scale: bytes, Disp: v.ahead * int(bytes)}
}

// load is the loop's elements of a []float32.
func (v *vec) load(base reg.Register) reg.VecVirtual {
	r, m := v.new(), v.place(base, 4)
	switch {
	case !v.rest:
		v.VMOVUPS(m, r)
	case v.lanes == 16:
		v.VMOVUPS_Z(m, v.mask, r)
	default:
		v.VMOVSS(m, r)
	}
	return r
}

// loadUint16 is the loop's elements of a []uint16 as 32-bit integers: one element, a vector, or, through a
// narrow register, what there is of one: an instruction that loads under a mask and widens should not touch what
// is missing either, but an emulator does.
func (v *vec) loadUint16(base reg.Register) reg.VecVirtual {
	r, m := v.new(), v.place(base, 2)
	switch {
	case !v.rest:
		v.VPMOVZXWD(m, r)
	case v.lanes == 16:
		narrow := v.YMM()
		v.VMOVDQU16_Z(m, v.mask, narrow)
		v.VPMOVZXWD(narrow, r)
	default:
		one := v.GP32()
		v.MOVWLZX(m, one)
		v.VMOVD(one, r.AsX())
	}
	return r
}

// store writes the loop's elements of a []float32.
func (v *vec) store(x reg.VecVirtual, base reg.Register) {
	m := v.place(base, 4)
	switch {
	case !v.rest:
		v.VMOVUPS(x, m)
	case v.lanes == 16:
		v.VMOVUPS(x, v.mask, m)
	default:
		v.VMOVSS(x.AsX(), m)
	}
}

// storeInt8 writes 32-bit integers in -128..127 to an []int8.
func (v *vec) storeInt8(x reg.VecVirtual, base reg.Register) {
	m := v.place(base, 1)
	switch {
	case v.lanes == 16 && v.rest:
		v.VPMOVDB(x, v.mask, m)
	case v.lanes == 16:
		v.VPMOVDB(x, m)
	case v.rest:
		one := v.GP32()
		v.VMOVD(x.AsX(), one)
		v.MOVB(one.As8(), m)
	default:
		high, both := v.XMM(), v.XMM()
		v.VEXTRACTI128(operand.Imm(1), x, high)
		v.VPACKSSDW(high, x.AsX(), both)
		v.VPACKSSWB(both, both, both)
		v.VMOVQ(both, m)
	}
}

// storeUint16 writes 32-bit integers in 0..65535 to a []uint16.
func (v *vec) storeUint16(x reg.VecVirtual, base reg.Register) {
	m := v.place(base, 2)
	switch {
	case v.lanes == 16 && v.rest:
		v.VPMOVDW(x, v.mask, m)
	case v.lanes == 16:
		v.VPMOVDW(x, m)
	case v.rest:
		one := v.GP32()
		v.VMOVD(x.AsX(), one)
		v.MOVW(one.As16(), m)
	default:
		high, both := v.XMM(), v.XMM()
		v.VEXTRACTI128(operand.Imm(1), x, high)
		v.VPACKUSDW(high, x.AsX(), both)
		v.VMOVDQU(both, m)
	}
}
