package kernels

import (
	"encoding/binary"
	"unsafe"
)

// Panels is the layout of int8 matrices in the order in which kernels read them. A panel holds
// PanelOutputs outputs and all inputs; panels follow each other by output:
//
//	[Out/16][inputs/4][16 outputs][4 inputs]
//
// so that a line of 64 bytes is 16 outputs times 4 inputs, one operand of a dot-product instruction, and
// an output is a lane from the first input to the last. The inputs of a scale group are padded to whole
// lines with zeros, and the outputs to whole panels.
const (
	PanelOutputs = 16
	LineInputs   = 4
	LineBytes    = PanelOutputs * LineInputs
)

// PanelLines is the number of lines in a panel of a matrix with that many inputs and scale groups.
func PanelLines(in, groups int) int { return groups * GroupLines(in, groups) }

// GroupLines is the number of lines of one scale group in a panel.
func GroupLines(in, groups int) int { return (in/groups + LineInputs - 1) / LineInputs }

// NumPanels is the number of panels of a matrix with that many outputs.
func NumPanels(out int) int { return (out + PanelOutputs - 1) / PanelOutputs }

// PanelSize is the size in bytes of a matrix in panels.
func PanelSize(in, out, groups int) int { return NumPanels(out) * PanelLines(in, groups) * LineBytes }

// PackPanels writes panels lo to hi-1 of an int8 matrix [in out] to dst, which begins with panel lo.
func PackPanels(dst, src []int8, in, out, groups, lo, hi int) {
	size := PanelLines(in, groups) * LineBytes
	for p := lo; p < hi; p++ {
		c0 := p * PanelOutputs
		packGroups(dst[(p-lo)*size:][:size], src[c0:], out, in, groups, min(PanelOutputs, out-c0))
	}
}

// packGroups packs one panel; input k's weights are src[k*stride:][:cols].
func packGroups(dst, src []int8, stride, in, groups, cols int) {
	per, lines := in/groups, GroupLines(in, groups)
	for g := range groups {
		PackBlock(dst[g*lines*LineBytes:][:lines*LineBytes], src[g*per*stride:], stride, per, cols)
	}
}

// PackBlock writes lines of one panel: inputs 0 to n-1, whose weights for cols outputs are
// src[k*stride:][:cols]. What is left of the last line, and outputs from cols on, become zero.
func PackBlock(dst, src []int8, stride, n, cols int) {
	k := 0
	if cols == PanelOutputs {
		for ; k+LineInputs <= n; k += LineInputs {
			packLine((*[LineBytes]int8)(dst[k*PanelOutputs:]), src[k*stride:], stride)
		}
	}
	clear(dst[k*PanelOutputs : (n+LineInputs-1)/LineInputs*LineBytes])
	for ; k < n; k++ {
		line := dst[k/LineInputs*LineBytes:][:LineBytes]
		for c, v := range src[k*stride:][:cols] {
			line[c*LineInputs+k%LineInputs] = v
		}
	}
}

// packLine interleaves four inputs' weights of 16 outputs: bytes of two inputs, then pairs of both pairs.
func packLine(dst *[LineBytes]int8, src []int8, stride int) {
	out := unsafe.Slice((*byte)(unsafe.Pointer(dst)), LineBytes)
	for j := 0; j < PanelOutputs; j += 4 {
		a, b := fourBytes(src[j:]), fourBytes(src[stride+j:])
		c, d := fourBytes(src[2*stride+j:]), fourBytes(src[3*stride+j:])
		ab, cd := spread(a)|spread(b)<<8, spread(c)|spread(d)<<8
		low := ab&0xffff | cd&0xffff<<16 | ab&0xffff0000<<16 | cd&0xffff0000<<32
		high := ab>>32&0xffff | cd>>32&0xffff<<16 | ab>>48<<32 | cd>>48<<48
		binary.LittleEndian.PutUint64(out[4*j:], low)
		binary.LittleEndian.PutUint64(out[4*j+8:], high)
	}
}

// spread puts the bytes of a word at the even bytes of a longer one.
func spread(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	return (x | x<<8) & 0x00ff00ff00ff00ff
}

func fourBytes(s []int8) uint32 {
	return binary.LittleEndian.Uint32(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s[:4]))), 4))
}

// UnpackBlock is the inverse of PackBlock for n inputs of one panel: dst[k*stride:][:cols] from lines.
func UnpackBlock(dst, lines []int8, stride, n, cols int) {
	for k := range n {
		line, row := lines[k/LineInputs*LineBytes+k%LineInputs:], dst[k*stride:][:cols]
		for c := range row {
			row[c] = line[c*LineInputs]
		}
	}
}
