package ckpt

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"troupe/tensor"
)

// pickled is a file of loose opcodes: PROTO and whatever make writes.
func pickled(make func(p *pickler)) []byte {
	p := &pickler{memo: map[string]byte{}}
	make(p)
	b := []byte{opProto, protocol}
	for _, piece := range append(p.done, p.frame...) {
		b = append(append(b, piece.text...), patternBytes(piece.size)...)
	}
	return b
}

// fileOf is the pickle of one object.
func fileOf(o object) []byte {
	return pickled(func(p *pickler) { p.save(o); p.op(opStop) })
}

// looseArray is an array whose bytes need not match its shape.
func looseArray(d tensor.DType, size int64, shape ...object) object {
	return call(global("numpy.core.multiarray", "_reconstruct"),
		tuple(global("numpy", "ndarray"), none, letterB),
		tuple(number(1), tuple(shape...), dtypeObject(d, 0), no, payloadObject(weightPart, size)))
}

func numbers(n ...int) (o []object) {
	for _, d := range n {
		o = append(o, number(d))
	}
	return o
}

// f4File is a float32 array of a shape and a number of bytes that need not agree.
func f4File(size int64, shape ...int) []byte {
	return fileOf(looseArray(tensor.F32, size, numbers(shape...)...))
}

var quantisedName = global("__main__", "QuantizedWeight8bit")

// weightFile is a QuantizedWeight8bit of two arrays.
func weightFile(d, e tensor.DType, weight, scales tensor.Shape) []byte {
	array := func(d tensor.DType, shape tensor.Shape) object {
		size, _ := tensor.Spec{DType: d, Shape: shape}.Bytes()
		return looseArray(d, size, numbers(shape...)...)
	}
	return fileOf(instance(quantisedName, text("weight"), array(d, weight), text("scales"), array(e, scales)))
}

func raw(b ...byte) []byte { return append([]byte{opProto, protocol}, b...) }

func str(s string) []byte { return append([]byte{opShortBinString, byte(len(s))}, s...) }

func join(parts ...[]byte) []byte { return raw(bytes.Join(parts, nil)...) }

// hostile are files that must be refused at little cost, and what the error says.
var hostile = []struct {
	name string
	file []byte
	says string
}{
	{"one byte", []byte{opProto}, "truncated"},
	{"text", []byte("hello, world"), "not a pickle: it begins with \"hello, w\""},
	{"web page", []byte("\n <html>"), "web page"},
	{"protocol 2", []byte{opProto, 2, opNone, opStop}, "protocol 2 is unsupported"},
	{"none", raw(opNone, opStop), "neither an array"},
	{"stop alone", raw(opStop), "malformed pickle"},
	{"second protocol", raw(opProto, 4, opNone, opStop), "opcode 0x80"},
	{"persistent id", join([]byte("Pid\n.")), "opcode 0x50"},
	{"binary persistent id", join(str("id"), []byte("Q.")), "opcode 0x51"},
	{"global", join([]byte("cos\nsystem\n.")), `refused name "os.system"`},
	{"instance", join([]byte("(ios\nsystem\n.")), "opcode 0x69"},
	{"extension 1", raw(0x82, 1, opStop), "opcode 0x82"},
	{"extension 2", raw(0x83, 1, 0, opStop), "opcode 0x83"},
	{"extension 4", raw(0x84, 1, 0, 0, 0, opStop), "opcode 0x84"},
	{"next buffer", raw(opNextBuffer, opStop), "opcode 0x97"},
	{"byte array", raw(0x96, 0, 0, 0, 0, 0, 0, 0, 0x40), "opcode 0x96"},
	{"long string", raw(0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "opcode 0x8d"},
	{"empty long", raw(0x8a, 0, opStop), "opcode 0x8a"},
	{"opcode 255", raw(0xff), "opcode 0xff"},
	{"bytes of 2^64-1", raw(opBinBytes8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "has 18446744073709551615 bytes, 0 follow"},
	{"frame of 2^64-1", raw(opFrame, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "has 18446744073709551615 bytes, 0 follow"},
	{"frame in frame", raw(opFrame, 11, 0, 0, 0, 0, 0, 0, 0, opFrame, 2, 0, 0, 0, 0, 0, 0, 0, opNone, opStop), "inside another"},
	{"opcode across frames", raw(opFrame, 2, 0, 0, 0, 0, 0, 0, 0, opBinInt2, 1, 1, opStop), "crosses the end of its frame"},
	{"bytes across frames", raw(opFrame, 4, 0, 0, 0, 0, 0, 0, 0, opShortBinBytes, 3, 1, 1, 1, opStop), "crosses the end of its frame"},
	{"empty frames", append(raw(), bytes.Repeat([]byte{opFrame, 0, 0, 0, 0, 0, 0, 0, 0}, 9000)...), "more than 8192 opcodes"},
	{"string flood", append(raw(), bytes.Repeat(str(strings.Repeat("x", 255)), 1000)...), "more than 8192 opcodes or bytes"},
	{"empty byte strings", append(raw(), bytes.Repeat([]byte{opShortBinBytes, 0}, 9000)...), "more than 8192 opcodes"},
	{"memo of nothing", raw(opBinGet, 0, opStop), "memo index 0"},
	{"memo of an empty stack", raw(opMemoize, opStop), "malformed pickle"},
	{"tuple of an empty stack", raw(opTuple, opStop), "malformed pickle"},
	{"odd items", join([]byte{opEmptyDict, opMark}, str("weight"), []byte{opSetItems, opStop}), "malformed pickle"},
	{"items of a tuple", raw(opEmptyTuple, opMark, opNone, opNone, opSetItems, opStop), "malformed pickle"},
	{"call of a dict", raw(opEmptyDict, opEmptyTuple, opReduce, opStop), "neither an array"},
	{"state of None", raw(opNone, opEmptyDict, opBuild, opStop), "malformed pickle"},
	{"deep nesting", append(append(raw(opNone), bytes.Repeat([]byte{opTuple1}, 3000)...), opStop), "neither an array"},
	{"marks", append(raw(), bytes.Repeat([]byte{opMark}, 4000)...), "truncated"},
	{"billion laughs", append(append(raw(opEmptyTuple, opMemoize), laughs(200)...), opStop), "neither an array"},
	{"called laughs", append(append(raw(opEmptyTuple, opMemoize), laughs(200)...), opEmptyTuple, opReduce, opStop), "malformed pickle"},
	{"dict in itself", join([]byte{opEmptyDict, opMemoize, opMark}, str("weight"), []byte{opBinGet, 0, opSetItems, opEmptyTuple, opReduce, opStop}), "neither an array"},
	{"call of a number", raw(opBinInt1, 1, opEmptyTuple, opReduce, opStop), "malformed pickle: REDUCE requires a Callable object: the file"},
	{"ordered dict", join(str("collections"), str("OrderedDict"), []byte{opStackGlobal, opStop}), "refused name"},
	{"builtin list", join(str("builtins"), str("list"), []byte{opStackGlobal, opEmptyTuple, opReduce, opStop}), "refused name"},
	{"numpy scalar", join(str("numpy.core.multiarray"), str("scalar"), []byte{opStackGlobal, opStop}), `refused name "numpy.core.multiarray.scalar"`},
	{"split name", join(str("numpy.core"), str("multiarray._reconstruct"), []byte{opStackGlobal, opStop}), "refused name"},
	{"name of a number", join([]byte{opBinInt1, 1}, str("x"), []byte{opStackGlobal, opStop}), "malformed pickle: STACK_GLOBAL requires str module"},
	{"class alone", join(str("numpy"), str("ndarray"), []byte{opStackGlobal, opStop}), "neither an array"},
	{"array without state", pickled(func(p *pickler) {
		p.save(global("numpy.core.multiarray", "_reconstruct"))
		p.save(tuple(global("numpy", "ndarray"), none, none))
		p.op(opReduce, opStop)
	}), "it has no state"},
	{"array of another class", fileOf(call(global("numpy.core.multiarray", "_reconstruct"), tuple(global("numpy", "dtype"), none, none), none)), "_reconstruct wants numpy.ndarray"},
	{"array of a short state", fileOf(call(global("numpy.core.multiarray", "_reconstruct"), tuple(global("numpy", "ndarray"), none, none), tuple(number(1), none))), "its state is not"},
	{"array of None", fileOf(call(global("numpy.core.multiarray", "_reconstruct"), tuple(global("numpy", "ndarray"), none, none), tuple(number(1), none, none, none, none))), "have another type"},
	{"negative dimension", f4File(4, -1), "a dimension is not a positive number"},
	{"zero dimension", f4File(0, 0), "a dimension is not a positive number"},
	{"two negative dimensions", f4File(4, -1, -1), "a dimension is not a positive number"},
	{"dimension of True", fileOf(looseArray(tensor.F32, 4, yes)), "a dimension is not a positive number"},
	{"many dimensions", f4File(4, make([]int, 1500)...), "1500 dimensions, want at most 8"},
	{"overflow to 0", f4File(0, 1<<30, 1<<30, 1<<2), "too many"},
	{"overflow to 4", f4File(4, 0x7fffffff, 0x7fffffff, 0x7fffffff), "too many"},
	{"payload too long", f4File(8, 1), "needs 4 bytes, its payload has 8"},
	{"dtype without byte order", fileOf(call(global("numpy.core.multiarray", "_reconstruct"), tuple(global("numpy", "ndarray"), none, none),
		tuple(number(1), tuple(number(1)), func(p *pickler) {
			p.save(global("numpy", "dtype"))
			p.save(tuple(text("f4"), no, yes))
			p.op(opReduce)
		}, no, payloadObject(weightPart, 4)))), "have another type"},
	{"plain int8", fileOf(looseArray(tensor.I8, 4, number(2), number(2))), "a plain array of int8"},
	{"plain bfloat16", fileOf(looseArray(tensor.BF16, 4, number(2))), "a plain array of bfloat16"},
	{"float32 scales", weightFile(tensor.I8, tensor.F32, tensor.Shape{2, 4}, tensor.Shape{1, 4}), "weight int8 with scales float32"},
	{"float32 weight", weightFile(tensor.F32, tensor.BF16, tensor.Shape{2, 4}, tensor.Shape{1, 4}), "weight float32 with scales"},
	{"vector of int8", weightFile(tensor.I8, tensor.BF16, tensor.Shape{4}, tensor.Shape{4}), "do not fit"},
	{"four dimensions", weightFile(tensor.I8, tensor.BF16, tensor.Shape{2, 2, 2, 2}, tensor.Shape{2, 2, 1, 2}), "do not fit"},
	{"groups no divisor", weightFile(tensor.I8, tensor.BF16, tensor.Shape{4, 4}, tensor.Shape{3, 4}), "do not fit"},
	{"more groups than rows", weightFile(tensor.I8, tensor.BF16, tensor.Shape{2, 4}, tensor.Shape{4, 4}), "do not fit"},
	{"scales of other columns", weightFile(tensor.I8, tensor.BF16, tensor.Shape{2, 4}, tensor.Shape{1, 2}), "do not fit"},
	{"scales without experts", weightFile(tensor.I8, tensor.BF16, tensor.Shape{2, 2, 4}, tensor.Shape{1, 4}), "do not fit"},
	{"weight twice", fileOf(instance(quantisedName, text("weight"), looseArray(tensor.I8, 1, number(1)), text("weight"), looseArray(tensor.I8, 1, number(1)))), "bad state"},
	{"weight of a number", fileOf(instance(quantisedName, text("weight"), number(1))), "bad state"},
	{"no scales", fileOf(instance(quantisedName, text("weight"), looseArray(tensor.I8, 4, number(2), number(2)))), "weight or scales are missing"},
	{"state in slots", pickled(func(p *pickler) {
		p.save(quantisedName)
		p.op(opEmptyTuple, opNewObj, opNone, opEmptyDict, opMark)
		p.save(text("__class__"))
		p.op(opNone, opSetItems, opTuple2, opBuild, opStop)
	}), "malformed pickle"},
	{"made with arguments", pickled(func(p *pickler) {
		p.save(quantisedName)
		p.op(opNone, opTuple1, opNewObj, opStop)
	}), "made with arguments"},
	{"dtype of one argument", fileOf(call(global("numpy", "dtype"), tuple(text("f4")), none)), "malformed dtype"},
	{"dtype of None", fileOf(call(global("numpy", "dtype"), tuple(none, no, yes), none)), "malformed dtype"},
	{"object dtype", fileOf(call(global("numpy", "dtype"), tuple(text("O8"), no, yes), none)), `dtype "O8"`},
	{"structured dtype", fileOf(call(global("numpy", "dtype"), tuple(text("f4"), no, yes),
		tuple(number(3), text("<"), none, tuple(none), none, number(-1), number(-1), number(0)))), "none of a plain number format"},
}

// laughs refers three times to the tuple before, n times over: 3^n elements if anything walked them.
func laughs(n int) (b []byte) {
	for i := range n {
		b = append(b, opBinGet, byte(i), opBinGet, byte(i), opBinGet, byte(i), opTuple3, opMemoize)
	}
	return b
}

func TestHostile(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			var err error
			taken := allocated(func() { _, err = readHeader(bytes.NewReader(h.file), int64(len(h.file))) })
			if err == nil || !strings.Contains(err.Error(), h.says) {
				t.Errorf("error %v, want one that says %q", err, h.says)
			}
			if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), "0xc0")) {
				t.Errorf("an error of %d bytes, or with an address: %.700s", len(err.Error()), err)
			}
			if taken > 4<<20 {
				t.Errorf("took %d bytes of memory", taken)
			}
		})
	}
}

// TestResaved reads what a newer numpy and another program's class name make of a tensor.
func TestResaved(t *testing.T) {
	file, err := os.ReadFile(tensorPath(goldenDir, 5))
	if err != nil {
		t.Fatal(err)
	}
	file = append([]byte{opProto, protocol}, file[11:]...) // unframed, so that lengths may change
	rename := func(from, to string) { file = bytes.Replace(file, str(from), str(to), 1) }
	rename("numpy.core.multiarray", "numpy._core.multiarray")
	rename("__main__", "model")
	h, err := readHeader(bytes.NewReader(file), int64(len(file)))
	if err != nil || h.Groups != 1 || !h.Weight.Shape.Equal(tensor.Shape{32, 64}) {
		t.Errorf("header %+v, %v", h, err)
	}
}

// FuzzScan: no file makes the reader panic; one that it accepts has its arrays where the header says.
func FuzzScan(f *testing.F) {
	for _, i := range []int{1, 5, 13} {
		b, err := os.ReadFile(tensorPath(goldenDir, i))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, h := range hostile {
		f.Add(h.file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		inside := func(offset int64, spec tensor.Spec) {
			if n, err := spec.Bytes(); err != nil || offset < 2 || offset > int64(len(b))-n {
				t.Errorf("%v at %d of %d bytes: %v", spec, offset, len(b), err)
			}
		}
		inside(h.Offset, h.Weight)
		if !h.Quantised() {
			return
		}
		inside(h.ScalesOffset, h.Scales)
		if groups, err := groupsOf(h.Weight.Shape, h.Scales.Shape); err != nil || groups != h.Groups {
			t.Errorf("%d groups of %v with %v", h.Groups, h.Weight, h.Scales)
		}
		_ = checkScales(&Tensor{ // must not panic
			Weight: h.Weight, Groups: h.Groups,
			Data: section(b, h.Offset, h.Weight), Scales: section(b, h.ScalesOffset, h.Scales),
		})
	})
}
