package doorbell

import (
	"runtime"
	"sync/atomic"
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

// holdTime is how long a sleeper keeps its processor of Go's. Of a thread that sleeps in a system call for longer than
// 20 µs Go's monitor takes it, and where that is every call, the monitor never rests: it wakes every 20 to 70 µs and
// takes a tenth of a processor from those who compute. It is longer than the system's tick, since a timer that ends before
// the next one has to be set in the processor, and unset when the sleeper is woken: 10 µs in a virtual machine.
const holdTime = 20 * time.Millisecond

// holders counts the sleepers that hold one. Another one is always left to the rest of the program.
var holders atomic.Int32

// Wait sleeps on the word.
func (Futex) Wait(w *Words, old uint32, limit time.Duration) {
	rest := limit
	if int(holders.Add(1)) < runtime.GOMAXPROCS(0) {
		// Go takes the thread for one that computes. Whoever wants it to stop, as the garbage collector does, sends it a
		// signal, which ends the sleep.
		if rest = limit - holdTime; hold(w, old, min(limit, holdTime)) != unix.ETIMEDOUT {
			rest = 0
		}
	}
	holders.Add(-1)
	if rest > 0 {
		sleep(w, old, rest)
	}
}

// hold and sleep wait with and without keeping the processor, and say why they ended: no error when woken, else that the
// word has changed, a signal, or the time is over.
func hold(w *Words, old uint32, limit time.Duration) unix.Errno {
	t := unix.NsecToTimespec(int64(limit))
	_, _, err := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.Number)), futexWait, uintptr(old), uintptr(unsafe.Pointer(&t)), 0, 0)
	return err
}

func sleep(w *Words, old uint32, limit time.Duration) unix.Errno {
	t := unix.NsecToTimespec(int64(limit))
	_, _, err := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.Number)), futexWait, uintptr(old), uintptr(unsafe.Pointer(&t)), 0, 0)
	return err
}

// Wake wakes the one who sleeps on the word.
func (Futex) Wake(w *Words) {
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.Number)), futexWake, 1, 0, 0, 0)
}

// giveWay lets another thread have the processor.
func giveWay() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
