//go:build cgo && (linux || darwin)

package main

// #include <stdlib.h>
// #include <string.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// memory is what C sees of a kernel or a batch: memory of C, and Go memory that is pinned while C may look at it.
// (Memory that was mapped from a file is neither; pinning does nothing to it.)
type memory struct {
	blocks []unsafe.Pointer
	pins   runtime.Pinner
}

// many returns n zero values; it does not return when there is no memory.
func many[T any](m *memory, n int) []T {
	if n == 0 {
		return nil
	}
	var t T
	size := C.size_t(n) * C.size_t(unsafe.Sizeof(t))
	p := C.malloc(size)
	C.memset(p, 0, size)
	m.blocks = append(m.blocks, p)
	return unsafe.Slice((*T)(p), n)
}

func one[T any](m *memory) *T { return &many[T](m, 1)[0] }

// text copies a string, ended by a zero.
func (m *memory) text(s string) *C.char {
	b := many[byte](m, len(s)+1)
	copy(b, s)
	return (*C.char)(unsafe.Pointer(&b[0]))
}

// pinned is the address of a slice's memory, which stays where it is until free.
func pinned[T any](m *memory, s []T) unsafe.Pointer {
	p := unsafe.Pointer(unsafe.SliceData(s))
	if len(s) > 0 {
		m.pins.Pin(p)
	}
	return p
}

// free gives all back.
func (m *memory) free() {
	for _, b := range m.blocks {
		C.free(b)
	}
	m.blocks = nil
	m.pins.Unpin()
}
