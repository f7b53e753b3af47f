//go:build !linux

package ckpt

import "errors"

var errNoTmpfs = errors.New("needs Linux's tmpfs: run without the copy")

func tmpfsRoom(string) (room, memory int64, err error) { return 0, 0, errNoTmpfs }

func claimStage(string) (*Staged, error) { return nil, errNoTmpfs }

// SweepStaged removes the copies of processes that have ended; there are none here.
func SweepStaged(string, Options) error { return nil }

// MemoryAvailable cannot be asked here.
func MemoryAvailable() (int64, error) {
	return 0, errors.New("the memory that is left is not known on this system")
}
