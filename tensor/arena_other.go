//go:build !linux

package tensor

import "unsafe"

// mapRegion takes the region from the Go heap where there is no memfd. It holds no pointers, so the
// collector never scans it; sharing with other processes needs another way there.
func mapRegion(_ string, size int) ([]byte, int, error) {
	mem := make([]byte, size+arenaAlign)
	off := -int(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) & (arenaAlign - 1)
	return mem[off : off+size : off+size], -1, nil
}

func mapHuge(size int) (whole, mem []byte, err error) {
	mem, _, err = mapRegion("", size)
	return mem, mem, err
}

func unmapRegion([]byte, int) error { return nil }
