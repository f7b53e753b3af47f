//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tokenlog

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps everybody else out until the file is closed, or the program has ended in whatever way.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errors.New("another run writes into it: wait for its end, or end it")
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOSYS): // some network file systems
		return nil
	}
	return err
}
