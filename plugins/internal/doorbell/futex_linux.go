package doorbell

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Futex wakes by futex: words of shared memory that processes sleep on. It needs no descriptor.
type Futex struct{}

const (
	futexWait = 0 // FUTEX_WAIT and FUTEX_WAKE of linux/futex.h, not private to a process
	futexWake = 1
)

// HasFutex tells whether this system has futexes.
const HasFutex = true

// Wait sleeps on the word.
func (Futex) Wait(w *Words, old uint32, limit time.Duration) {
	t := unix.NsecToTimespec(int64(limit))
	// Errors are those of a word that has changed, a signal, or the time being over: the caller looks again.
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.Number)), futexWait, uintptr(old), uintptr(unsafe.Pointer(&t)), 0, 0)
}

// Wake wakes the one who sleeps on the word.
func (Futex) Wake(w *Words) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.Number)), futexWake, 1, 0, 0, 0)
}

// giveWay lets another thread have the processor.
func giveWay() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
