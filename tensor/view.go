package tensor

import (
	"encoding/binary"
	"math"
	"runtime"
	"unsafe"
)

// unalignedFloats tells whether this machine reads little-endian floats at any address.
// Payloads of pickles lie at odd offsets of the file.
var unalignedFloats = map[string]bool{
	"386": true, "amd64": true, "arm64": true, "ppc64le": true, "riscv64": true, "loong64": true, "wasm": true,
}[runtime.GOARCH]

// Float32s looks at little-endian float32 bytes as numbers. Where the machine reads floats at any
// address the result shares b's memory and lives as long as b; elsewhere it is a copy (copied is true).
// Trailing bytes that do not fill a float are left out.
func Float32s(b []byte) (f []float32, copied bool) {
	n := len(b) / 4
	if n == 0 {
		return nil, false
	}
	if unalignedFloats {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n), false
	}
	f = make([]float32, n)
	for i := range f {
		f[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return f, true
}

// Int8s looks at bytes as signed numbers; the result shares b's memory.
func Int8s(b []byte) []int8 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// WidenBF16 converts little-endian bfloat16 bytes to float32, exactly.
func WidenBF16(b []byte) []float32 {
	f := make([]float32, len(b)/2)
	for i := range f {
		f[i] = FromBF16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return f
}
