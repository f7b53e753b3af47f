package processor

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Own is one more than the number of the processor that the calling thread runs on; 0: unknown.
func Own() uint32 {
	var cpu uint32
	if _, _, err := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); err != 0 {
		return 0
	}
	return cpu + 1
}

// moveTo moves the calling thread to a processor and leaves it free to go elsewhere. It does nothing, and says so, where
// the thread may not run there.
func moveTo(place uint32) bool {
	runtime.LockOSThread() // also, so that no thread is made of this one meanwhile, which would have to stay there
	defer runtime.UnlockOSThread()
	var free, there unix.CPUSet
	cpu := int(place) - 1
	if unix.SchedGetaffinity(0, &free) != nil || !free.IsSet(cpu) {
		return false
	}
	there.Set(cpu)
	if unix.SchedSetaffinity(0, &there) != nil {
		return false
	}
	return unix.SchedSetaffinity(0, &free) == nil
}
