package cpu

import (
	"syscall"
	"testing"
)

// guarded is that many bytes or more, whole pages between two that fault when touched.
func guarded(t testing.TB, size int) []byte {
	t.Helper()
	page := syscall.Getpagesize()
	size = ceilDiv(size, page) * page
	mem, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(mem) })
	for _, guard := range [][]byte{mem[:page], mem[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return mem[page:][:size]
}
