package lend

import "golang.org/x/sys/unix"

func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// killOnHangup has the system kill this process when the pipe's other end is closed. (A signal at the parent's
// death, the usual way, is one at the death of the thread that started the process.)
func killOnHangup(fd int) {
	const setSignal = 10 // F_SETSIG
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETOWN, unix.Getpid())
	_, _ = unix.FcntlInt(uintptr(fd), setSignal, int(unix.SIGKILL))
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_ASYNC)
	}
}
