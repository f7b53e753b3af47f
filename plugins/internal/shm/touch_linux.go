package shm

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Touch maps the pages of a part of a mapping now, so that the first calls do not stop at each of them: a token's
// weights are a hundred thousand. It is advice, which Linux before 5.14 does not know.
func Touch(part []byte) {
	if len(part) == 0 {
		return
	}
	lead := int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) & uintptr(os.Getpagesize()-1))
	pages := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(part)), -lead)), lead+len(part))
	_ = unix.Madvise(pages, unix.MADV_POPULATE_READ)
}
