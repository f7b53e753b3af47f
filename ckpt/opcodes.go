package ckpt

// The opcodes of pickle protocol 4 that a checkpoint consists of (names as in Python's pickletools).
const (
	opMark           = '('
	opStop           = '.'
	opBinBytes       = 'B'
	opShortBinBytes  = 'C'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opNone           = 'N'
	opReduce         = 'R'
	opBuild          = 'b'
	opBinGet         = 'h'
	opTuple          = 't'
	opSetItems       = 'u'
	opEmptyTuple     = ')'
	opEmptyDict      = '}'
	opProto          = 0x80
	opNewObj         = 0x81
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opNewTrue        = 0x88
	opNewFalse       = 0x89
	opShortBinString = 0x8c // SHORT_BINUNICODE
	opBinBytes8      = 0x8e // in no published file: an array of 4 GiB or more
	opStackGlobal    = 0x93
	opMemoize        = 0x94
	opFrame          = 0x95

	opGlobal     = 'c'  // refused; known here so that the name it asks for can be shown
	opNextBuffer = 0x97 // refused in files; stands for array bytes in a skeleton
)

// protocol is the only pickle protocol accepted.
const protocol = 4

// argument is what follows an opcode in the file.
type argument uint8

const (
	refused   argument = iota // no checkpoint has this opcode
	argNone                   // nothing
	argInt1                   // a number of 1, 2, 4 bytes
	argInt2                   //
	argInt4                   //
	argMemo                   // 1 byte, an index of the memo
	argString                 // 1 byte of length, text
	argBytes1                 // 1, 4, 8 bytes of length, array bytes
	argBytes4                 //
	argBytes8                 //
	argFrame                  // 8 bytes of length
)

// grammar is the whitelist.
var grammar = [256]argument{
	opMark: argNone, opStop: argNone, opNone: argNone, opReduce: argNone, opBuild: argNone,
	opTuple: argNone, opSetItems: argNone, opEmptyTuple: argNone, opEmptyDict: argNone, opNewObj: argNone,
	opTuple1: argNone, opTuple2: argNone, opTuple3: argNone, opNewTrue: argNone, opNewFalse: argNone,
	opStackGlobal: argNone, opMemoize: argNone,
	opBinInt1: argInt1, opBinInt2: argInt2, opBinInt: argInt4,
	opBinGet: argMemo, opShortBinString: argString,
	opShortBinBytes: argBytes1, opBinBytes: argBytes4, opBinBytes8: argBytes8,
	opFrame: argFrame,
}

// width is the number of bytes of the number that follows the opcode.
func (a argument) width() int {
	switch a {
	case argInt1, argMemo, argString, argBytes1:
		return 1
	case argInt2:
		return 2
	case argInt4, argBytes4:
		return 4
	case argBytes8, argFrame:
		return 8
	}
	return 0
}
