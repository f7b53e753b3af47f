//go:build !linux

package tensor

import "unsafe"

// heapRegion is memory of the Go heap. It holds no pointers, so that the collector never scans it.
func heapRegion(size int) ([]byte, int, error) {
	mem := make([]byte, size+arenaAlign)
	off := -int(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) & (arenaAlign - 1)
	return mem[off : off+size : off+size], -1, nil
}
