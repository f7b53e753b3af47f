//go:build cgo && (linux || darwin)

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
	"troupe/plugins"
)

// host builds this program.
func host(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if text, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return dir
}

// find is how the engine comes to a shared object that somebody names.
func find(t *testing.T, object, dir string) plugins.Config {
	t.Helper()
	found, _ := plugins.Find([]string{object}, "", dir) // errors are of other plugins that lie about
	i := slices.IndexFunc(found, func(c plugins.Config) bool { return slices.Equal(c.Args, []string{object}) })
	if i < 0 {
		t.Fatalf("%s is not among what was found: %+v", object, found)
	}
	return found[i]
}

func TestProcess(t *testing.T) {
	dir := host(t)
	t.Run("libraries", func(t *testing.T) { testLibraries(t, dir) })
	t.Run("errors", func(t *testing.T) { testErrors(t, dir) })
}

// A library in C through its process: the names, the bits, and what is not offered.
func testLibraries(t *testing.T, dir string) {
	for source, cases := range map[string][]string{
		"example/expert.c": {"linear/int8/K=70", "linear/exact/K=176", "expert/int8", "expert/reference/D=24"},
		"example/ops.c":    {"attend/exact", "combine/exact", "head/int8", "rope/exact", "embed/exact", "rmsnorm/int8", "route/exact", "add/exact"},
	} {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		variants, err := plugins.Variants(t.Context(), find(t, build(t, source), dir))
		if err != nil {
			t.Fatal(err)
		}
		if len(variants) != 1 || variants[0].Name != "plugin:"+name {
			t.Fatalf("%s: variants %+v, want plugin:%s", source, variants, name)
		}
		lib, err := variants[0].Open(kernels.SameThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for _, c := range kerneltest.Cases() {
			if slices.ContainsFunc(cases, func(start string) bool { return strings.HasPrefix(c.Name, start) }) {
				tried++
				if err := c.Check(lib); err != nil {
					t.Errorf("%s: %v", source, err)
				}
			}
		}
		if tried < len(cases) {
			t.Errorf("%s: %d cases tried, want at least one for each of %d", source, tried, len(cases))
		}
		if err := lib.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is wrong with a shared object comes to the engine as an error that names it.
func testErrors(t *testing.T, dir string) {
	object := build(t, "testdata/hostile.c")
	config := find(t, object, dir)
	config.Env, config.Deadline = []string{"HOSTILE"}, time.Minute
	for fault, want := range map[string]string{"abi": "made for version 7", "describe fails": "no card found", "no ops": "0 ops"} {
		t.Setenv("HOSTILE", fault)
		if _, err := plugins.Variants(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", fault, err, want)
		}
	}
	frame := &kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{{1}, {0}}}
	for fault, want := range map[string]string{"run fails": "device ? lost", "crash": "", "abort": ""} {
		t.Setenv("HOSTILE", fault)
		variants, err := plugins.Variants(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		lib, err := variants[0].Open(kernels.SameThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		k, err := lib.Compile(kernels.Segment{Calls: []kernels.Call{{Op: kernels.Add, In: []kernels.Slot{0, 0}, Out: []kernels.Slot{1}}}})
		if err != nil {
			t.Fatal(err)
		}
		var f *kernels.Fault
		if err := k.Run(frame); !errors.As(err, &f) || !strings.Contains(err.Error(), want) || f.Kind != kernels.Crash {
			t.Errorf("%s: got %v, want a crash with %q", fault, err, want)
		}
		if err := lib.Close(); err != nil {
			t.Errorf("%s: close: %v", fault, err)
		}
	}
}
