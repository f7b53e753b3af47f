package main

import (
	"os"
	"strings"
	"testing"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
)

// TestSharedMemory: with --shm the output is the same, from files and from the demo within the program, and nothing is
// left in memory that was not there before.
func TestSharedMemory(t *testing.T) {
	if _, _, err := ckpt.TmpfsRoom("/dev/shm"); err != nil {
		t.Skip("/dev/shm:", err)
	}
	copies := func() int {
		entries, _ := os.ReadDir(mirror.SharedMemory()) // before the first there is no directory
		n := 0
		for _, e := range entries {
			if e.IsDir() {
				n++
			}
		}
		return n
	}
	dir := t.TempDir()
	troupe(t, "", "new", "-q", "--out", dir+"/m", "--num-layers", "2", "--emb-size", "64", "--key-size", "16", "--seed", "5").ok(t)
	before := copies()
	for _, m := range [][]string{nil, {"-m", dir + "/m"}} {
		args := append([]string{"run", "-q", "--max-tokens", "5", "--temperature", "0", "--tokens", "5,6,7", "--ids"}, m...)
		plain := troupe(t, "", args...).ok(t)
		shared := troupe(t, "", append(args, "--shm")...).ok(t)
		if plain.out != shared.out || strings.TrimSpace(plain.out) == "" {
			t.Errorf("%v: %q with --shm, %q without", m, shared.out, plain.out)
		}
	}
	if after := copies(); after > before {
		t.Errorf("%d copies in memory, %d before", after, before)
	}
}
