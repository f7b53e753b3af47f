package processor

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that was moved may go wherever it could before; one that may not go there stays free as well.
func TestMove(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var free, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &free); err != nil {
		t.Skip("no affinity on this system: ", err)
	}
	if own := Own(); own == 0 || !free.IsSet(int(own)-1) {
		t.Fatalf("at place %d, want one more than a processor of %v", own, free)
	}
	tried := 0
	for cpu := range len(free) * 64 {
		allowed := free.IsSet(cpu)
		if tried++; !allowed && tried > 200 {
			break
		}
		if moveTo(uint32(cpu)+1) != allowed {
			t.Errorf("processor %d, allowed: %v: moved: %v", cpu, allowed, !allowed)
		}
		if err := unix.SchedGetaffinity(0, &after); err != nil || after != free {
			t.Fatalf("after processor %d: %v, error %v, want %v", cpu, after, err, free)
		}
	}
}
