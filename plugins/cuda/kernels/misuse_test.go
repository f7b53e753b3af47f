//go:build cudacpu && cgo

package kernels

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is undefined on a GPU is found on the CPU, whatever the order of the threads, and correct code is let through.
func TestMisuse(t *testing.T) {
	program := filepath.Join(t.TempDir(), "misuse")
	if out, err := exec.Command("g++", "-std=c++17", "-O1", "-Wno-unknown-pragmas", "-o", program, "testdata/misuse.cc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const race = "a race: "
	for name, want := range map[string]string{
		"right":                 "done 125 125 1", // v is 63-i, and its neighbour's
		"barrierInBranch":       "left before a barrier",
		"leavesBeforeBarrier":   "thread 7: left before a barrier",
		"barrierAgainstShuffle": "deadlock: a collective waits for lanes that are at a barrier",
		"maskWithoutCaller":     "a collective whose mask leaves out the caller",
		"maskOfLeft":            "a collective waits for a lane that is not there",
		"shuffleFromOutside":    "a shuffle from a lane outside its mask",
		"readsWhatAnotherWrote": race,
		"writesWhatAnotherRead": race,
		"twoWrite":              race,
		"indexTooLarge":         "thread 63: an index outside a shared array",
		"indexNegative":         "thread 0: an index outside a shared array",
		"oddAddress":            "an address that is not aligned",
		"oddShared":             "four shared elements from an odd place",
		"neverWritten":          "done -1 -1 0", // the bits of NaN in both blocks
	} {
		for _, args := range [][]string{{name}, {name, "reverse"}} {
			cmd := exec.Command(program, args...)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			if done := strings.HasPrefix(want, "done"); done != (err == nil) || !strings.Contains(string(out), want) {
				t.Errorf("%v: %v: %q, want %q", args, err, out, want)
			}
		}
	}
}
