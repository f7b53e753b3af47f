//go:build !linux

package ckpt

import "errors"

// TmpfsRoom cannot be asked here: there is no tmpfs.
func TmpfsRoom(string) (room, memory int64, err error) {
	return 0, 0, errors.New("needs Linux's tmpfs: run without the copy")
}

// MemoryAvailable cannot be asked here.
func MemoryAvailable() (int64, error) {
	return 0, errors.New("the memory that is left is not known on this system")
}
