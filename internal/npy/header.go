package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

type header struct {
	descr string // "<f4", "<i4" or "<u4"
	shape []int
}

// The dictionary as NumPy writes it; the order of keys and the spaces are free.
var (
	fieldDescr = regexp.MustCompile(`'descr'\s*:\s*'([^']*)'`)
	fieldOrder = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	fieldShape = regexp.MustCompile(`'shape'\s*:\s*\(([0-9,\s]*)\)`)
	axis       = regexp.MustCompile(`[0-9]+`)
)

func readHeader(r io.Reader) (header, error) {
	var h header
	start := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:len(magic)]) != magic {
		return h, fmt.Errorf("npy: starts with %q, want %q: this is not a .npy file", start, magic)
	}
	var size [4]byte // 2 bytes in version 1, 4 from version 2 on
	width := 2
	switch version := start[len(magic)]; version {
	case 1:
	case 2, 3:
		width = 4
	default:
		return h, fmt.Errorf("npy: version %d, want 1, 2 or 3", version)
	}
	if _, err := io.ReadFull(r, size[:width]); err != nil {
		return h, fmt.Errorf("npy: header: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > headerMax {
		return h, fmt.Errorf("npy: header of %d bytes, want at most %d", n, headerMax)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, fmt.Errorf("npy: header: %w", err)
	}
	return parseHeader(string(text))
}

func parseHeader(text string) (header, error) {
	var h header
	descr, order, shape := fieldDescr.FindStringSubmatch(text), fieldOrder.FindStringSubmatch(text), fieldShape.FindStringSubmatch(text)
	if descr == nil || order == nil || shape == nil {
		return h, fmt.Errorf("npy: header %q: want descr, fortran_order and shape", strings.TrimSpace(text))
	}
	switch h.descr = descr[1]; h.descr {
	case "<f4", "<i4", "<u4":
	default:
		return h, fmt.Errorf("npy: dtype %q, want <f4, <i4 or <u4: save it as float32, int32 or uint32", h.descr)
	}
	if order[1] != "False" {
		return h, fmt.Errorf("npy: fortran_order, want C order: save it with numpy.ascontiguousarray")
	}
	h.shape = []int{}
	for _, d := range axis.FindAllString(shape[1], -1) {
		v, err := strconv.Atoi(d)
		if err != nil {
			return h, fmt.Errorf("npy: shape (%s): %w", shape[1], err)
		}
		h.shape = append(h.shape, v)
	}
	return h, nil
}

// appendHeader appends everything before the numbers, version 1.0, byte for byte as NumPy does.
func appendHeader(b []byte, h header) []byte {
	var dims strings.Builder
	for i, d := range h.shape {
		if i > 0 {
			dims.WriteString(", ")
		}
		dims.WriteString(strconv.Itoa(d))
	}
	if len(h.shape) == 1 {
		dims.WriteByte(',') // a tuple of one
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", h.descr, dims.String())
	fixed := len(magic) + 4
	pad := alignment - (fixed+len(text)+1)%alignment
	if pad == alignment {
		pad = 0
	}
	text += strings.Repeat(" ", pad) + "\n"
	b = append(b, magic+"\x01\x00"...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}
