package main

import "fmt"

// op is an instruction on vectors as a word, with its text as binutils prints it, which a test compares.
// Registers: the result's in bits 0 to 4, operands' in bits 5 to 9 and 16 to 20.
type op struct {
	word  uint32
	text  string // with a verb for each register
	keeps bool   // the result's register is an operand, too
}

func (o op) line(r []V) string {
	word, args := o.word, make([]any, len(r))
	for i, v := range r {
		word |= uint32(v) << []int{0, 5, 16}[i]
		args[i] = int(v)
	}
	return fmt.Sprintf("\tWORD $0x%08x // %s", word, fmt.Sprintf(o.text, args...))
}

// two and three are the forms of instructions with that many registers of one arrangement.
func two(word uint32, name, lanes string) op {
	return op{word: word, text: fmt.Sprintf("%[1]s\tv%%d.%[2]s, v%%d.%[2]s", name, lanes)}
}

func three(word uint32, name, lanes string) op {
	return op{word: word, text: fmt.Sprintf("%[1]s\tv%%d.%[2]s, v%%d.%[2]s, v%%d.%[2]s", name, lanes)}
}

// keeping is an instruction whose result's register is an operand.
func keeping(o op) op {
	o.keeps = true
	return o
}

// Four lanes of 32 bits. There is no multiplication that adds among them: each product is rounded (N1).
var (
	fadd  = three(0x4e20d400, "fadd", "4s")
	fsub  = three(0x4ea0d400, "fsub", "4s")
	fmul  = three(0x6e20dc00, "fmul", "4s")
	fdiv  = three(0x6e20fc00, "fdiv", "4s")
	fmin  = three(0x4ea0f400, "fmin", "4s")  // NaN if an operand is
	fcmgt = three(0x6ea0e400, "fcmgt", "4s") // ones where the first is greater
	fcmeq = three(0x4e20e400, "fcmeq", "4s")
	scvtf = two(0x4e21d800, "scvtf", "4s")
	// topByte is a byte in the upper end of a lane, zeros below it, as a float.
	topByte = op{word: 0x4f28e400, text: "scvtf\tv%d.4s, v%d.4s, #24"}
	fcvtns  = two(0x4e21a800, "fcvtns", "4s") // ties to even

	add  = three(0x4ea08400, "add", "4s")
	umax = three(0x6ea06400, "umax", "4s")
	// umaxv is the largest lane in the first, zeros in the others.
	umaxv = op{word: 0x6eb0a800, text: "umaxv\ts%d, v%d.4s"}

	and = three(0x4e201c00, "and", "16b")
	orr = three(0x4ea01c00, "orr", "16b")
	eor = three(0x6e201c00, "eor", "16b")
	bic = three(0x4e601c00, "bic", "16b")          // first and not second
	bsl = keeping(three(0x6e601c00, "bsl", "16b")) // bits of the first operand where the result has ones, else of the second

	zeros = op{word: 0x4f000400, text: "movi\tv%d.4s, #0x0"}
)

func shl(n int) op {
	return op{word: 0x4f005400 | uint32(32+n)<<16, text: fmt.Sprintf("shl\tv%%d.4s, v%%d.4s, #%d", n)}
}

func ushr(n int) op {
	return op{word: 0x6f000400 | uint32(64-n)<<16, text: fmt.Sprintf("ushr\tv%%d.4s, v%%d.4s, #%d", n)}
}

// Moves between lanes, and between sizes of lanes.
var (
	trn1     = three(0x4e802800, "trn1", "4s") // even lanes of both, taking turns
	trn2     = three(0x4e806800, "trn2", "4s") // odd ones
	trn1Pair = three(0x4ec02800, "trn1", "2d")
	trn2Pair = three(0x4ec06800, "trn2", "2d")
	// swap is the upper half of the first operand and the lower one of the second.
	swap = op{word: 0x6e004000, text: "ext\tv%d.16b, v%d.16b, v%d.16b, #8"}
	// tbl is bytes of the first operand by the indices in the second; zero for indices above 15.
	tbl = op{word: 0x4e000000, text: "tbl\tv%d.16b, {v%d.16b}, v%d.16b"}

	uxtl16 = op{word: 0x2f10a400, text: "uxtl\tv%d.4s, v%d.4h"}
	// shll is bfloat16 as floats, shll2 that of the upper half.
	shll  = op{word: 0x2e613800, text: "shll\tv%d.4s, v%d.4h, #16"}
	shll2 = op{word: 0x6e613800, text: "shll2\tv%d.4s, v%d.8h, #16"}
	xtn32 = op{word: 0x0e612800, text: "xtn\tv%d.4h, v%d.4s"}
	xtn16 = op{word: 0x0e212800, text: "xtn\tv%d.8b, v%d.8h"}
)

// dup is one lane in all.
func dup(lane int) op {
	return op{word: 0x4e000400 | uint32(lane<<3|4)<<16, text: fmt.Sprintf("dup\tv%%d.4s, v%%d.s[%d]", lane)}
}

// Products of int8.
var (
	smull  = op{word: 0x0e20c000, text: "smull\tv%d.8h, v%d.8b, v%d.8b"}
	smull2 = op{word: 0x4e20c000, text: "smull2\tv%d.8h, v%d.16b, v%d.16b"}
	addp   = three(0x4e60bc00, "addp", "8h") // sums of neighbours
	sadalp = keeping(op{word: 0x4e606800, text: "sadalp\tv%d.4s, v%d.8h"})
)

// elementBits is a lane as the encoding of an operand has it.
func elementBits(lane int) uint32 { return uint32(lane&1)<<21 | uint32(lane>>1)<<11 }

// fmulBy multiplies by one lane of the second operand.
func fmulBy(lane int) op {
	return op{word: 0x4f809000 | elementBits(lane), text: fmt.Sprintf("fmul\tv%%d.4s, v%%d.4s, v%%d.s[%d]", lane)}
}

// sdotBy adds the products of groups of four int8 with that group of the second operand.
func sdotBy(lane int) op {
	return keeping(op{word: 0x4f80e000 | elementBits(lane), text: fmt.Sprintf("sdot\tv%%d.4s, v%%d.16b, v%%d.4b[%d]", lane)})
}
