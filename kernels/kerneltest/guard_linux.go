package kerneltest

import (
	"os"
	"syscall"
)

// mapBody returns whole pages between two that fault when touched, and what gives them back.
func mapBody(size int) (body []byte, free func(), err error) {
	page := os.Getpagesize()
	pages := max((size+page-1)/page, 1)
	mem, err := syscall.Mmap(-1, 0, (pages+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	body = mem[page : (pages+1)*page]
	for _, guard := range [][]byte{mem[:page], mem[(pages+1)*page:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			syscall.Munmap(mem)
			return nil, nil, err
		}
	}
	return body, func() { syscall.Munmap(mem) }, nil
}
