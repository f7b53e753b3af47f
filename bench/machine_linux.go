package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func processorName() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// lastLevelCache is the size of all caches of the third level together; 0: unknown.
func lastLevelCache() int {
	caches, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/cache/index3")
	sizes := map[string]int{}
	for _, dir := range caches {
		id, _ := os.ReadFile(filepath.Join(dir, "id"))
		text, _ := os.ReadFile(filepath.Join(dir, "size"))
		var kib int
		if _, err := fmt.Sscanf(string(text), "%dK", &kib); err == nil {
			sizes[string(id)] = kib << 10
		}
	}
	sum := 0
	for _, size := range sizes {
		sum += size
	}
	return sum
}

// resident is the memory of this process that is in use; 0: unknown.
func resident() int64 {
	raw, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// usage is a look at the processors' time.
type usage struct {
	at   time.Time
	all  time.Duration // of all programs
	ours time.Duration
	ok   bool
}

// tick is the unit of /proc/stat on every machine that Go runs on.
const tick = 10 * time.Millisecond

func lookAtUsage() (u usage) {
	u.at = time.Now()
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal guest guest_nice
	if len(fields) < 9 {
		return u
	}
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return u
		}
		u.all += time.Duration(n) * tick
	}
	u.ours = childrenTime()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} { // the latter are those that have ended
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) != nil {
			return u
		}
		u.ours += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	u.ok = true
	return u
}

// childrenTime is what the processes have used that this one has started and that still run: plugins.
func childrenTime() (sum time.Duration) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	self := strconv.Itoa(os.Getpid())
	for _, name := range names {
		raw, _ := os.ReadFile(name)
		at := strings.LastIndexByte(string(raw), ')') // the name before it may hold anything
		fields := strings.Fields(string(raw[at+1:]))  // state ppid … utime and stime as numbers 14 and 15 of all
		if len(fields) < 13 || fields[1] != self {
			continue
		}
		for _, i := range []int{11, 12} {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// othersSince is the part of the processors' time since an earlier look that other programs had, and the
// host of a virtual machine; -1: unknown.
func (u usage) othersSince(before usage) float64 {
	wall := u.at.Sub(before.at)
	if !u.ok || !before.ok || wall < 10*tick {
		return -1
	}
	others := (u.all - before.all) - (u.ours - before.ours)
	return max(0, float64(others)/float64(wall)/float64(runtime.NumCPU()))
}
