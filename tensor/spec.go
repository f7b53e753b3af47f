package tensor

import (
	"fmt"
	"math"
	"strings"
)

// DType is a number format. All formats are little-endian.
type DType uint8

// The number formats of Grok-1 checkpoints and of the engine's own buffers.
const (
	Invalid DType = iota
	F32
	BF16
	I8
)

var dtypes = [...]struct {
	name string
	size int
}{
	Invalid: {"invalid", 0},
	F32:     {"float32", 4},
	BF16:    {"bfloat16", 2},
	I8:      {"int8", 1},
}

// Size is the number of bytes of one element.
func (d DType) Size() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].size
}

func (d DType) String() string {
	if int(d) >= len(dtypes) {
		return fmt.Sprintf("dtype(%d)", d)
	}
	return dtypes[d].name
}

// Shape is the extent of each dimension, outermost first (C order).
type Shape []int

func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// Equal reports whether both shapes have the same dimensions.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// Elems is the number of elements, or an error when a dimension is negative or the product overflows.
func (s Shape) Elems() (int64, error) {
	n := int64(1)
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: negative dimension", s)
		}
		if d > 0 && n > math.MaxInt64/int64(d) {
			return 0, fmt.Errorf("shape %v: too many elements", s)
		}
		n *= int64(d)
	}
	return n, nil
}

// Spec is a number format and a shape.
type Spec struct {
	DType DType
	Shape Shape
}

func (s Spec) String() string { return s.DType.String() + s.Shape.String() }

// Equal reports whether both specs agree.
func (s Spec) Equal(t Spec) bool { return s.DType == t.DType && s.Shape.Equal(t.Shape) }

// Bytes is the size of the array in bytes, or an error when it cannot be counted.
func (s Spec) Bytes() (int64, error) {
	n, err := s.Shape.Elems()
	if err != nil {
		return 0, err
	}
	size := int64(s.DType.Size())
	if size > 0 && n > math.MaxInt64/size {
		return 0, fmt.Errorf("%v: too many bytes", s)
	}
	return n * size, nil
}
