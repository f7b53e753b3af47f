package ckpt

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"troupe/tensor"
)

// The Python objects that a checkpoint's pickle makes. Each type below answers the calls that pickle
// makes on the class of the same role; none has any effect but on the value that it returns.
type (
	reconstruct    struct{} // numpy.core.multiarray._reconstruct: makes an empty array
	ndarrayClass   struct{} // numpy.ndarray, argument of reconstruct
	dtypeClass     struct{} // numpy.dtype
	bfloat16Class  struct{} // ml_dtypes.bfloat16, argument of dtype
	quantisedClass struct{} // QuantizedWeight8bit
)

// classes is the whitelist of names.
var classes = map[[2]string]any{
	{"numpy.core.multiarray", "_reconstruct"}:  reconstruct{},
	{"numpy._core.multiarray", "_reconstruct"}: reconstruct{}, // saved again with numpy 2
	{"numpy", "ndarray"}:                       ndarrayClass{},
	{"numpy", "dtype"}:                         dtypeClass{},
	{"ml_dtypes", "bfloat16"}:                  bfloat16Class{},
	{"__main__", "QuantizedWeight8bit"}:        quantisedClass{},
	{"model", "QuantizedWeight8bit"}:           quantisedClass{}, // saved again by a program that imports it
}

// build makes the object that a skeleton describes. gopickle panics on some malformed input; that is an
// error of the file.
func (s *skeleton) build() (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			value, err = nil, badFormat("malformed pickle: %v: the file is damaged, copy it again", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(s.ops))
	u.FindClass = func(module, name string) (any, error) {
		if class, ok := classes[[2]string{module, name}]; ok {
			return class, nil
		}
		return nil, refusedName(module, name)
	}
	payloads := s.payloads // one for each NEXT_BUFFER, by construction
	u.NextBuffer = func() (any, error) {
		p := payloads[0]
		payloads = payloads[1:]
		return p, nil
	}
	value, err = u.Load()
	if _, own := err.(*formatError); err != nil && !own {
		// What stands behind the colon shows a value with its address: of no use to a reader.
		text, _, _ := strings.Cut(err.Error(), ": ")
		err = badFormat("malformed pickle: %s: the file is damaged, copy it again", text)
	}
	return value, err
}

func refusedName(module, name string) error {
	return badFormat("refused name %.80q: a checkpoint needs numpy arrays and QuantizedWeight8bit alone: the file is hostile or no tensor: do not load it with Python, get it from its source again", module+"."+name)
}

// refuseBuiltin refuses the module names that gopickle resolves by itself, before it asks FindClass.
func refuseBuiltin(text string) error {
	if slices.Contains([]string{"collections", "builtins", "__builtin__", "array", "copy_reg"}, text) {
		return refusedName(text, "*")
	}
	return nil
}

// Call makes the array that BUILD fills: _reconstruct(ndarray, (0,), b'b').
func (reconstruct) Call(args ...any) (any, error) {
	if len(args) != 3 || args[0] != any(ndarrayClass{}) {
		return nil, badFormat("malformed array: _reconstruct wants numpy.ndarray and two more arguments")
	}
	return &array{}, nil
}

// Call makes the dtype that BUILD gives its byte order: dtype('f4', False, True).
func (dtypeClass) Call(args ...any) (any, error) {
	if len(args) != 3 {
		return nil, badFormat("malformed dtype: %d arguments, want 3", len(args))
	}
	switch args[0] {
	case any("f4"):
		return &dtype{is: tensor.F32, order: "<"}, nil
	case any("i1"):
		return &dtype{is: tensor.I8, order: "|"}, nil
	case any(bfloat16Class{}):
		return &dtype{is: tensor.BF16, order: "<"}, nil
	}
	if name, ok := args[0].(string); ok {
		return nil, badFormat("dtype %.20q, want f4 (float32), i1 (int8) or bfloat16: convert the tensor", name)
	}
	return nil, badFormat("malformed dtype: made from %T", args[0])
}

// dtype is a number format of numpy.
type dtype struct {
	is    tensor.DType
	order string // the byte order that this format must have: "<" little-endian, "|" no order
	known bool   // BUILD has told its byte order
	flags int    // 0: not 1 to 255
}

// PySetState checks (version 3, byte order, subarray, names, fields, item size, alignment, flags).
// The flags of bfloat16 vary with the version of ml_dtypes.
func (d *dtype) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() != 8 || t.Get(0) != any(3) || t.Get(2) != nil || t.Get(3) != nil || t.Get(4) != nil {
		return badFormat("malformed dtype: its state is none of a plain number format")
	}
	if order, _ := t.Get(1).(string); order != d.order {
		return badFormat("byte order %.20q of %v, want %q (little-endian): convert the tensor", order, d.is, d.order)
	}
	d.known = true
	if flags, ok := t.Get(7).(int); ok && flags > 0 && flags <= 255 {
		d.flags = flags
	}
	return nil
}

// maxDims is more than any model family uses; it keeps shapes in error texts short.
const maxDims = 8

// array is a numpy array whose bytes are still in the file.
type array struct {
	spec tensor.Spec
	data payload
	set  bool // BUILD has filled it

	flags int // of the dtype
}

// PySetState takes (version 1, shape, dtype, column-major, bytes).
func (a *array) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() != 5 || t.Get(0) != any(1) || a.set {
		return badFormat("malformed array: its state is not (1, shape, dtype, order, bytes)")
	}
	shape, shapeOK := t.Get(1).(*types.Tuple)
	d, dtypeOK := t.Get(2).(*dtype)
	columns, columnsOK := t.Get(3).(bool)
	data, dataOK := t.Get(4).(payload)
	switch {
	case !shapeOK || !dtypeOK || !columnsOK || !dataOK || !d.known:
		return badFormat("malformed array: shape, dtype, order or bytes have another type")
	case columns:
		return badFormat("column-major (Fortran) order is not supported: save it again in C order")
	}
	if shape.Len() > maxDims {
		return badFormat("%d dimensions, want at most %d: not a tensor of a checkpoint", shape.Len(), maxDims)
	}
	a.spec.DType = d.is
	for _, v := range *shape {
		n, ok := v.(int)
		if !ok || n < 1 {
			return badFormat("malformed array: a dimension is not a positive number")
		}
		a.spec.Shape = append(a.spec.Shape, n)
	}
	want, err := a.spec.Bytes()
	if err != nil {
		return badFormat("%s: the file is damaged, copy it again", err.Error())
	}
	if want != data.size {
		return badFormat("%s needs %d bytes, its payload has %d: the file is damaged, copy it again", a.spec.String(), want, data.size)
	}
	a.data, a.set, a.flags = data, true, d.flags
	return nil
}

// quantised is a QuantizedWeight8bit: an int8 matrix and its scales.
type quantised struct{ weight, scales *array }

// PyNew makes an empty one; its fields come by BUILD.
func (quantisedClass) PyNew(args ...any) (any, error) {
	if len(args) != 0 {
		return nil, badFormat("malformed QuantizedWeight8bit: made with arguments")
	}
	return &quantised{}, nil
}

// PyDictSet sets a field: weight and scales exist, each an array, each once.
func (q *quantised) PyDictSet(key, value any) error {
	a, ok := value.(*array)
	switch {
	case key == any("weight") && ok && q.weight == nil:
		q.weight = a
	case key == any("scales") && ok && q.scales == nil:
		q.scales = a
	default:
		return badFormat("bad state of QuantizedWeight8bit: want an array as weight and one as scales, each once")
	}
	return nil
}
