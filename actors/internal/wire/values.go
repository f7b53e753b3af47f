package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// littleEndian tells whether float32 lie in memory as they travel.
var littleEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}()

// Append appends float32 to bytes as they travel: little end first.
func Append(to []byte, from []float32) []byte {
	if littleEndian && len(from) > 0 {
		return append(to, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(from))), 4*len(from))...)
	}
	for _, f := range from {
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(f))
	}
	return to
}

// Take fills float32 from bytes of that length.
func Take(to []float32, from []byte) error {
	if len(from) != 4*len(to) {
		return fmt.Errorf("%d bytes of values, want %d", len(from), 4*len(to))
	}
	if littleEndian && len(to) > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(to))), len(from)), from)
		return nil
	}
	for i := range to {
		to[i] = math.Float32frombits(binary.LittleEndian.Uint32(from[4*i:]))
	}
	return nil
}

// Same tells whether bytes are those of values.
func Same(values []float32, b []byte) bool {
	if len(b) != 4*len(values) {
		return false
	}
	for i, v := range values {
		if math.Float32bits(v) != binary.LittleEndian.Uint32(b[4*i:]) {
			return false
		}
	}
	return true
}
