package ckpt

import (
	"fmt"
	"math"

	"troupe/tensor"
)

// piece is a run of bytes of a tensor's file: text, or the place of an array's bytes.
type piece struct {
	text []byte
	part part
	size int64 // bytes of part
}

// part names the arrays of a tensor.
type part uint8

const (
	noPart part = iota // text
	weightPart
	scalesPart
)

func (p piece) bytes() int64 { return int64(len(p.text)) + p.size }

// FileSize is the exact size in bytes of the file that Write makes of a tensor: F32 with groups 0, or I8
// [in, out] or [experts, in, out] with scale groups, a divisor of in.
func FileSize(spec tensor.Spec, groups int) (int64, error) {
	pieces, err := layout(spec, groups)
	return sumBytes(pieces), err
}

func sumBytes(pieces []piece) (sum int64) {
	for _, p := range pieces {
		sum += p.bytes()
	}
	return sum
}

// layout is a tensor's file as CPython's pickle module (protocol 4) writes it.
func layout(spec tensor.Spec, groups int) ([]piece, error) {
	if err := writable(spec, groups); err != nil {
		return nil, err
	}
	p := &pickler{memo: map[string]byte{}}
	if groups == 0 {
		p.array(spec, weightPart)
	} else {
		p.quantised(spec, scalesSpec(spec.Shape, groups))
	}
	p.op(opStop)
	p.endFrame()
	return append([]piece{{text: []byte{opProto, protocol}}}, p.done...), nil
}

// writable refuses what the format cannot hold, or this package could not read back.
func writable(spec tensor.Spec, groups int) error {
	n := len(spec.Shape)
	if _, err := spec.Bytes(); err != nil {
		return err
	}
	for _, d := range spec.Shape {
		if d < 1 || d > math.MaxInt32 {
			return fmt.Errorf("%v: dimension %d, want 1 to %d", spec, d, math.MaxInt32)
		}
	}
	switch {
	case n < 1 || n > 3:
		return fmt.Errorf("%v: %d dimensions, want 1 to 3", spec, n)
	case groups == 0 && spec.DType == tensor.F32:
		return nil
	case groups == 0 || spec.DType != tensor.I8:
		return fmt.Errorf("%v with %d scale groups, want float32 with 0, or int8 with 1 or more", spec, groups)
	case n == 1:
		return fmt.Errorf("%v: a vector cannot be quantised: write it as float32", spec)
	case groups < 0 || spec.Shape[n-2]%groups != 0:
		return fmt.Errorf("%v with %d scale groups, want a divisor of its %d rows", spec, groups, spec.Shape[n-2])
	}
	return nil
}

// quantised writes QuantizedWeight8bit(weight=…, scales=…).
func (p *pickler) quantised(weight, scales tensor.Spec) {
	p.global("__main__", "QuantizedWeight8bit")
	p.op(opEmptyTuple, opNewObj)
	p.memoize("")
	p.op(opEmptyDict)
	p.memoize("")
	p.op(opMark)
	p.text("weight")
	p.array(weight, weightPart)
	p.text("scales")
	p.array(scales, scalesPart)
	p.op(opSetItems, opBuild)
}

// array writes what numpy's array says of itself: _reconstruct(ndarray, (0,), b'b'), then the state
// (1, shape, dtype, column-major, bytes).
func (p *pickler) array(spec tensor.Spec, which part) {
	p.global("numpy.core.multiarray", "_reconstruct")
	p.global("numpy", "ndarray")
	p.number(0)
	p.tuple(1)
	p.letterB()
	p.tuple(3)
	p.op(opReduce)
	p.memoize("")

	p.op(opMark)
	p.number(1)
	for _, d := range spec.Shape {
		p.number(d)
	}
	p.tuple(len(spec.Shape))
	p.dtype(spec.DType)
	p.op(opNewFalse)
	size, _ := spec.Bytes()
	p.payload(which, size)
	p.op(opTuple)
	p.memoize("")
	p.op(opBuild)
}

// dtype writes dtype(name, False, True) and its state (3, byte order, None, None, None, size, alignment,
// flags). The flags of bfloat16 depend on the version of ml_dtypes; readers ignore them.
func (p *pickler) dtype(d tensor.DType) {
	p.global("numpy", "dtype")
	order, size, flags := "<", -1, 0
	switch d {
	case tensor.F32:
		p.text("f4")
	case tensor.I8:
		p.text("i1")
		order = "|"
	case tensor.BF16:
		p.global("ml_dtypes", "bfloat16")
		size, flags = 2, 80
	}
	p.op(opNewFalse, opNewTrue)
	p.tuple(3)
	p.op(opReduce)
	p.memoize("")

	p.op(opMark)
	p.number(3)
	p.text(order)
	p.op(opNone, opNone, opNone)
	p.number(size)
	p.number(size)
	p.number(flags)
	p.op(opTuple)
	p.memoize("")
	p.op(opBuild)
}
