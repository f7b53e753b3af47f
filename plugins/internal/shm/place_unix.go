//go:build unix

package shm

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Place maps whole pages of a file over addresses that Reserve took, at from bytes into them.
func Place(reserved []byte, from int, f *os.File, offset int64, size int, writable bool) error {
	page := os.Getpagesize()
	if from < 0 || size <= 0 || size > len(reserved)-from || from%page != 0 || size%page != 0 || offset < 0 || offset%int64(page) != 0 {
		return fmt.Errorf("plugins: %d bytes at %d: want whole pages within the %d bytes reserved", size, from, len(reserved))
	}
	_, err := unix.MmapPtr(int(f.Fd()), offset, unsafe.Pointer(&reserved[from]), uintptr(size), protection(writable), unix.MAP_SHARED|unix.MAP_FIXED|noReserve)
	return err
}
