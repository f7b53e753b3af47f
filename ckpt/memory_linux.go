package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// MemoryAvailable is the memory in bytes that this process can still take: free memory and cache that can be
// dropped, or less where a container (a cgroup of version 2) has a limit of its own.
func MemoryAvailable() (int64, error) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	kib, ok := numberAfter(string(raw), "MemAvailable:")
	if !ok {
		return 0, errors.New("/proc/meminfo does not tell MemAvailable")
	}
	available := kib << 10
	if groups, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(groups)) {
			if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
				available = min(available, cgroupRoom(os.DirFS("/sys/fs/cgroup"), group))
			}
		}
	}
	return available, nil
}

// cgroupRoom is what a group and those above it let their processes still take; a file that is not there limits
// nothing. Cache counts as used in a group, but is dropped before its limit is met.
func cgroupRoom(root fs.FS, group string) int64 {
	room := int64(math.MaxInt64)
	for dir := path.Clean(path.Join(".", group)); ; dir = path.Dir(dir) {
		read := func(name string) string {
			raw, _ := fs.ReadFile(root, path.Join(dir, name))
			return strings.TrimSpace(string(raw))
		}
		limit, err1 := strconv.ParseInt(read("memory.max"), 10, 64) // "max" is no number
		used, err2 := strconv.ParseInt(read("memory.current"), 10, 64)
		if err1 == nil && err2 == nil {
			cache, _ := numberAfter(read("memory.stat"), "file ")
			shared, _ := numberAfter(read("memory.stat"), "shmem ") // part of file, but cannot be dropped
			room = min(room, max(0, limit-used+max(0, cache-shared)))
		}
		if dir == "." || !fs.ValidPath(dir) {
			return room
		}
	}
}

// numberAfter finds a line that begins with a word, and the number behind it.
func numberAfter(text, word string) (n int64, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, word); found {
			_, err := fmt.Sscan(rest, &n)
			return n, err == nil
		}
	}
	return 0, false
}
