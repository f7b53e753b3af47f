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
	pieces, err := layout(spec, groups, 0)
	return sumBytes(pieces), err
}

func sumBytes(pieces []piece) (sum int64) {
	for _, p := range pieces {
		sum += p.bytes()
	}
	return sum
}

// layout is a tensor's file as CPython's pickle module (protocol 4) writes it; flags 0 are the usual ones.
func layout(spec tensor.Spec, groups, flags int) ([]piece, error) {
	if err := writable(spec, groups); err != nil {
		return nil, err
	}
	p := &pickler{memo: map[string]byte{}}
	if groups == 0 {
		p.save(arrayObject(spec, weightPart, flags))
	} else {
		p.save(quantisedObject(spec, groups, flags))
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

// quantisedObject is QuantizedWeight8bit(weight=…, scales=…).
func quantisedObject(weight tensor.Spec, groups, flags int) object {
	return instance(global("__main__", "QuantizedWeight8bit"),
		text("weight"), arrayObject(weight, weightPart, flags),
		text("scales"), arrayObject(scalesSpec(weight.Shape, groups), scalesPart, flags))
}

// arrayObject is what a numpy array says of itself: _reconstruct(ndarray, (0,), b'b') with the state
// (1, shape, dtype, column-major, bytes).
func arrayObject(spec tensor.Spec, which part, flags int) object {
	var shape []object
	for _, d := range spec.Shape {
		shape = append(shape, number(d))
	}
	size, _ := spec.Bytes()
	return call(global("numpy.core.multiarray", "_reconstruct"),
		tuple(global("numpy", "ndarray"), tuple(number(0)), letterB),
		tuple(number(1), tuple(shape...), dtypeObject(spec.DType, flags), no, payloadObject(which, size)))
}

const usualFlags = 80

// dtypeObject is dtype(name, False, True) with the state (3, byte order, None, None, None, item size,
// alignment, flags). The flags of bfloat16 depend on the version of ml_dtypes (80 in that of JAX 0.4.25, 64 in
// others); readers ignore them, and files are written with those that they had, or usualFlags.
func dtypeObject(d tensor.DType, bf16Flags int) object {
	name, order, size, flags := text("f4"), "<", -1, 0
	switch d {
	case tensor.I8:
		name, order = text("i1"), "|"
	case tensor.BF16:
		name, size, flags = global("ml_dtypes", "bfloat16"), 2, bf16Flags
		if flags == 0 {
			flags = usualFlags
		}
	}
	return call(global("numpy", "dtype"), tuple(name, no, yes),
		tuple(number(3), text(order), none, none, none, number(size), number(size), number(flags)))
}
