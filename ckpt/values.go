package ckpt

import (
	"encoding/binary"
	"fmt"
	"math"

	"troupe/tensor"
)

// checkScales demands positive, finite scales, and 0 only where all weights of the scale are 0.
func checkScales(t *Tensor) error {
	shape := scalesSpec(t.Weight.Shape, t.Groups).Shape
	all, n, zeros := len(t.Scales)/2, 0, 0
	for i := range all {
		if !t.Has(i * t.experts() / all) {
			continue
		}
		n++
		bits := binary.LittleEndian.Uint16(t.Scales[2*i:])
		switch {
		case bits&0x7f80 == 0x7f80:
			return fmt.Errorf("scale %v is %v, not finite: the file is damaged, copy it again", index(shape, i), tensor.FromBF16(bits))
		case bits<<1 == 0:
			zeros++
		case bits>>15 != 0:
			return fmt.Errorf("scale %v is %v, want more than 0: the file is damaged, copy it again", index(shape, i), tensor.FromBF16(bits))
		}
	}
	switch zeros {
	case 0:
		return nil
	case n:
		return fmt.Errorf("all %d scales are 0: the file is sparse, or its download is not finished: get the whole file", n)
	}
	return checkZeroScales(t, shape)
}

// checkZeroScales looks for a weight other than 0 under a scale of 0. Row g of the scales, counted over all
// experts, belongs to the g-th run of in/Groups rows of the weight.
func checkZeroScales(t *Tensor, shape tensor.Shape) error {
	last := len(shape) - 1
	out, rows := shape[last], t.Weight.Shape[last-1]/t.Groups
	all := len(t.Scales) / 2
	for i := range all {
		if binary.LittleEndian.Uint16(t.Scales[2*i:])<<1 != 0 || !t.Has(i*t.experts()/all) {
			continue
		}
		g, n := i/out, i%out
		for r := g * rows; r < (g+1)*rows; r++ {
			if q := t.value(r, n, rows); q != 0 {
				return fmt.Errorf("scale %v is 0, but weight %v under it is %d: the file is damaged or its download is not finished: get it again", index(shape, i), index(t.Weight.Shape, r*out+n), q)
			}
		}
	}
	return nil
}

// value is the int8 value of a row, counted over all experts, and a column; a scale group has that many rows.
func (t *Tensor) value(row, column, rows int) int8 {
	out := t.Weight.Shape[len(t.Weight.Shape)-1]
	if t.Panels == nil {
		return int8(t.Data[row*out+column])
	}
	group, k, lines := row/rows, row%rows, (rows+lineInputs-1)/lineInputs
	expert, group := group/t.Groups, group%t.Groups
	line := column/panelOutputs*lines*t.Groups + group*lines + k/lineInputs
	return int8(t.Panels[expert][(line*panelOutputs+column%panelOutputs)*lineInputs+k%lineInputs])
}

// index is the place of element i, in C order.
func index(shape tensor.Shape, i int) tensor.Shape {
	at := make(tensor.Shape, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		at[d], i = i%shape[d], i/shape[d]
	}
	return at
}

// checkFinite looks for NaN and infinities among little-endian float32s; at is the index of the first.
func checkFinite(b []byte, at int64) error {
	const block = 4096 // bytes between two looks at the accumulated bits
	for start := 0; start < len(b); start += block {
		part := b[start:min(start+block, len(b))]
		if allFinite(part) {
			continue
		}
		for i := 0; i+4 <= len(part); i += 4 {
			f := math.Float32frombits(binary.LittleEndian.Uint32(part[i:]))
			if f-f != 0 {
				return fmt.Errorf("value %d is %v, not finite: the file is damaged, copy it again", at+int64(start+i)/4, f)
			}
		}
	}
	return nil
}

// allFinite looks at two floats at a time. A float32 is not finite when its 8 exponent bits are all ones; then
// adding one to the lowest of them carries into the bit above, and nowhere else.
func allFinite(b []byte) bool {
	const exponents, one, carry = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	var seen uint64
	for ; len(b) >= 8; b = b[8:] {
		seen |= binary.LittleEndian.Uint64(b)&exponents + one
	}
	if len(b) >= 4 {
		seen |= uint64(binary.LittleEndian.Uint32(b)&0x7f800000 + 0x00800000)
	}
	return seen&carry == 0
}
