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

// packedTogether is how many panels are packed side by side: a row of the matrix is then read 256 bytes at a time,
// whole cache lines. One panel alone takes 16 bytes of each line, at the stride of a row, four times slower.
const packedTogether = 16

// PackPanels writes panels lo to hi-1 of an int8 matrix [in out] to dst, which begins with panel lo. Several
// threads may do it, a range each; ranges that are multiples of 16 panels are fastest.
func PackPanels(dst, src []int8, in, out, groups, lo, hi int) {
	size := PanelLines(in, groups) * LineBytes
	per, lines := in/groups, GroupLines(in, groups)
	full := min(hi, out/PanelOutputs)
	for p := lo; p < full; p += packedTogether {
		n := min(packedTogether, full-p)
		for g := range groups {
			packSide(dst[(p-lo)*size+g*lines*LineBytes:], size, src[g*per*out+p*PanelOutputs:], out, per, n)
		}
	}
	if full < hi && full >= lo { // the last panel has fewer outputs
		for g := range groups {
			c0 := full * PanelOutputs
			PackBlock(dst[(full-lo)*size+g*lines*LineBytes:][:lines*LineBytes], src[g*per*out+c0:], out, per, out-c0)
		}
	}
}

// packSide packs one scale group of n panels side by side, inputs outermost; a panel has size bytes of dst.
func packSide(dst []int8, size int, src []int8, stride, inputs, n int) {
	k := 0
	for ; k+LineInputs <= inputs; k += LineInputs {
		for p := range n {
			packLine((*[LineBytes]int8)(dst[p*size+k*PanelOutputs:]), src[k*stride+p*PanelOutputs:], stride)
		}
	}
	if k < inputs {
		for p := range n {
			PackBlock(dst[p*size+k*PanelOutputs:][:LineBytes], src[k*stride+p*PanelOutputs:], stride, inputs-k, PanelOutputs)
		}
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

const oddBytes, highPairs = 0x00ff00ff_00ff00ff, 0x0000ffff_0000ffff

// packLine interleaves four inputs' weights of 16 outputs, eight outputs at a time: bytes of two inputs
// change places, then pairs of bytes.
func packLine(dst *[LineBytes]int8, src []int8, stride int) {
	r0, r1, r2, r3 := row16(src), row16(src[stride:]), row16(src[2*stride:]), row16(src[3*stride:])
	out := (*[LineBytes]byte)(unsafe.Pointer(dst))
	for j := 0; j < PanelOutputs; j += 8 {
		a, b := binary.LittleEndian.Uint64(r0[j:j+8]), binary.LittleEndian.Uint64(r1[j:j+8])
		c, d := binary.LittleEndian.Uint64(r2[j:j+8]), binary.LittleEndian.Uint64(r3[j:j+8])
		t, u := (a>>8^b)&oddBytes, (c>>8^d)&oddBytes
		a, b, c, d = a^t<<8, b^t, c^u<<8, d^u
		t, u = (a>>16^c)&highPairs, (b>>16^d)&highPairs
		a, b, c, d = a^t<<16, b^u<<16, c^t, d^u
		line := out[4*j : 4*j+32]
		binary.LittleEndian.PutUint64(line[0:], a&0xffffffff|b<<32)
		binary.LittleEndian.PutUint64(line[8:], c&0xffffffff|d<<32)
		binary.LittleEndian.PutUint64(line[16:], a>>32|b>>32<<32)
		binary.LittleEndian.PutUint64(line[24:], c>>32|d>>32<<32)
	}
}

func row16(s []int8) *[PanelOutputs]byte {
	return (*[PanelOutputs]byte)(unsafe.Pointer((*[PanelOutputs]int8)(s)))
}

// UnpackBlock is the inverse of PackBlock for n inputs of one panel: dst[k*stride:][:cols] from lines.
func UnpackBlock(dst, lines []int8, stride, n, cols int) {
	k := 0
	if cols == PanelOutputs {
		for ; k+LineInputs <= n; k += LineInputs {
			unpackLine(dst[k*stride:], (*[LineBytes]int8)(lines[k*PanelOutputs:]), stride)
		}
	}
	for ; k < n; k++ {
		line, row := lines[k/LineInputs*LineBytes+k%LineInputs:], dst[k*stride:][:cols]
		for c := range row {
			row[c] = line[c*LineInputs]
		}
	}
}

// unpackLine is the inverse of packLine.
func unpackLine(dst []int8, src *[LineBytes]int8, stride int) {
	r0, r1, r2, r3 := row16(dst), row16(dst[stride:]), row16(dst[2*stride:]), row16(dst[3*stride:])
	in := (*[LineBytes]byte)(unsafe.Pointer(src))
	for j := 0; j < PanelOutputs; j += 8 {
		line := in[4*j : 4*j+32]
		p, q := binary.LittleEndian.Uint64(line[0:]), binary.LittleEndian.Uint64(line[8:])
		r, s := binary.LittleEndian.Uint64(line[16:]), binary.LittleEndian.Uint64(line[24:])
		a, b := p&0xffffffff|r<<32, p>>32|r>>32<<32
		c, d := q&0xffffffff|s<<32, q>>32|s>>32<<32
		t, u := (a>>16^c)&highPairs, (b>>16^d)&highPairs
		a, b, c, d = a^t<<16, b^u<<16, c^t, d^u
		t, u = (a>>8^b)&oddBytes, (c>>8^d)&oddBytes
		a, b, c, d = a^t<<8, b^t, c^u<<8, d^u
		binary.LittleEndian.PutUint64(r0[j:j+8], a)
		binary.LittleEndian.PutUint64(r1[j:j+8], b)
		binary.LittleEndian.PutUint64(r2[j:j+8], c)
		binary.LittleEndian.PutUint64(r3[j:j+8], d)
	}
}
