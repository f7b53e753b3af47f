package kernels

import "math"

// Rounding to int8 is part of the definition of Int8 (N2): activations before they meet an int8 matrix,
// and the head's matrix, which checkpoints store as float32.

const (
	// tinyBlock is the largest value below which a block counts as zero: 127/amax would leave float32 not
	// far below it.
	tinyBlock = 0x1p-100
	magic     = float32(3 << 22) // v + magic - magic rounds |v| < 2^22 to an integer, ties to even
)

// QuantiseBlock writes a block of values as int8 in -127..127 and returns their scale: the largest
// magnitude over 127, values rounded to nearest, ties to even. A block with a NaN or an infinity gets the
// scale NaN, so that whatever reads it is NaN; a block below 2^-100 is zero.
func QuantiseBlock(q []int8, x []float32) (scale float32) {
	top := uint32(0)
	for _, v := range x {
		top = max(top, math.Float32bits(v)&0x7fffffff)
	}
	amax := math.Float32frombits(top)
	q = q[:len(x)]
	clear(q)
	switch {
	case top >= 0x7f800000:
		return float32(math.NaN())
	case amax < tinyBlock:
		return 0
	}
	inv := 127 / amax
	for k, v := range x { // |v*inv| is below 127.5, whatever the roundings
		q[k] = int8(float32(float32(v*inv)+magic) - magic)
	}
	return amax / 127
}

// HeadGroups is the number of scale groups of a head with that many inputs under Int8: equal ones of at
// most BlockRows inputs. It is 0 where that would leave groups so small that scales outweigh what int8
// saves; such a head stays float32.
func HeadGroups(in int) int {
	groups := (in + BlockRows - 1) / BlockRows
	for in%groups != 0 {
		groups++
	}
	if groups > 1 && in/groups < BlockRows/4 {
		return 0
	}
	return groups
}

// HeadBytes is the memory of a head under Int8, the values in panels and their scales; 0 where it stays
// float32.
func HeadBytes(in, out int) (panels, scales int64) {
	groups := HeadGroups(in)
	if groups == 0 {
		return 0, 0
	}
	return int64(PanelSize(in, out, groups)), 4 * int64(groups) * int64(out)
}

// QuantiseHead makes the int8 matrix, in panels, of a float32 one stored output by output, in memory of
// HeadBytes.
func QuantiseHead(w *Weight, panels []int8, scales []float32) *Weight {
	groups := HeadGroups(w.In)
	per, lines := w.In/groups, GroupLines(w.In, groups)
	h := &Weight{Name: w.Name, In: w.In, Out: w.Out, Groups: groups, Panels: true, Q: panels, Scales: scales}
	clear(panels)
	q := make([]int8, per)
	for o := range w.Out {
		panel, row := h.Panel(o/PanelOutputs), w.F[o*w.In:][:w.In]
		for g := range groups {
			scales[g*w.Out+o] = QuantiseBlock(q, row[g*per:][:per])
			at := g*lines*LineBytes + o%PanelOutputs*LineInputs
			for k, v := range q {
				panel[at+k/LineInputs*LineBytes+k%LineInputs] = v
			}
		}
	}
	return h
}
