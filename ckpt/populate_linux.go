package ckpt

import "golang.org/x/sys/unix"

// populate brings pages into memory and maps them, faster than one fault at a time. b begins on a page.
// Kernels before 5.14 refuse the advice, and pages that cannot be read fail it: touching tells them apart.
func populate(b []byte) {
	if unix.Madvise(b, unix.MADV_POPULATE_READ) != nil {
		touch(b)
	}
}

// release gives pages of a mapped file back. The next access reads them again, from the system's cache as a rule.
func release(b []byte) {
	if len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_DONTNEED) // advice
	}
}
