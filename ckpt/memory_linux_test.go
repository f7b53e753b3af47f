package ckpt

import (
	"math"
	"testing"
	"testing/fstest"
)

// TestCgroupRoom: the tightest limit of a group and those above it counts, with the cache that it can drop.
func TestCgroupRoom(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	root := fstest.MapFS{
		"a/memory.max": file("1000"), "a/memory.current": file("900"), "a/memory.stat": file("anon 300\nfile 600\nfile_mapped 7\nshmem 100"),
		"a/b/memory.max": file("max"), "a/b/memory.current": file("800"),
		"c/memory.max": file("50"), "c/memory.current": file("70"),
		"d/memory.max": file("50"),
	}
	for group, want := range map[string]int64{"": math.MaxInt64, "a": 600, "a/b": 600, "c": 0, "d": math.MaxInt64, "../..": math.MaxInt64} {
		if got := cgroupRoom(root, group); got != want {
			t.Errorf("%q: %d, want %d", group, got, want)
		}
	}
	if n, err := MemoryAvailable(); err == nil && n < 0 {
		t.Errorf("%d bytes are available", n)
	}
}
