package ckpt

import "golang.org/x/sys/unix"

// populate brings pages into memory and maps them, faster than one fault at a time. b begins on a page.
// Kernels before 5.14 refuse the advice, and pages that cannot be read fail it: touching tells them apart.
func populate(b []byte) {
	if unix.Madvise(b, unix.MADV_POPULATE_READ) != nil {
		touch(b)
	}
}
