//go:build unix

package tensor

import "golang.org/x/sys/unix"

func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) }

func closeDescriptor(fd int) error { return unix.Close(fd) }
