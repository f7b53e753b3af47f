//go:build unix

package actors

import "syscall"

// signal does something to a process; "" has it go on.
func signal(pid int, what Deed) error {
	return syscall.Kill(pid, map[Deed]syscall.Signal{KillWorker: syscall.SIGKILL, StopWorker: syscall.SIGSTOP, "": syscall.SIGCONT}[what])
}
