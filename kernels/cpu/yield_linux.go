package cpu

import "syscall"

// yield lets another thread have the processor, and tells that it did.
func yield() bool {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	return true
}
