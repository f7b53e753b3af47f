//go:build !unix

package ckpt

import "os"

// mapFile reads the file where there is no mmap; memory then holds a copy of the checkpoint.
func mapFile(f *os.File, size int) (region, error) { return readFile(f, size) }

func unmap([]byte) error { return nil }
