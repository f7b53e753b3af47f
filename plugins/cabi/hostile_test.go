//go:build cgo && (linux || darwin)

package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"troupe/kernels"
)

// What a library says wrongly of itself is one clear error.
func TestDescribe(t *testing.T) {
	path := build(t, "testdata/hostile.c")
	for fault, want := range map[string]string{
		"abi":            "version 7 of troupe_kernel.h, want 1",
		"describe fails": "troupe_describe: returned 3: no card found",
		"no name":        "no name", "empty name": `name: ""`, "name with =": `name "a=b"`,
		"no doc": "no doc", "two lines": `doc: "a\nb"`, "not UTF-8": "version: ", "long version": "version: more than 200 bytes",
		"escape": "needs: ", "NULL ops": "1 ops", "no ops": "0 ops", "many ops": "4294967295 ops", "unknown op": "op 77", "op twice": "op 8 ",
		"promise": "promise 9", "score": "score 4294967295",
	} {
		t.Setenv("HOSTILE", fault)
		_, err := load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q and the path", fault, err, want)
		}
	}
}

// Files that are no library at all.
func TestLoad(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		text: "shared object", t.TempDir(): "shared object", filepath.Join(t.TempDir(), "none.so"): "shared object", "": "shared object",
		build(t, "testdata/hostile.c", "-DNO_ABI"): "function troupe_abi missing",
		build(t, "testdata/empty.c"):               "function troupe_abi, troupe_describe, troupe_open, troupe_compile, troupe_run, troupe_free, troupe_close missing",
	} {
		if _, err := load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q and the path", path, err, want)
		}
	}
}

// What fails later is an error of the call, and the library is usable after it.
func TestFailures(t *testing.T) {
	o := mustLoad(t, build(t, "testdata/hostile.c"))
	for fault, want := range map[string]string{"open fails": "troupe_open: returned 1: xxx", "open gives nothing": "no library"} {
		t.Setenv("HOSTILE", fault)
		if _, err := o.open(kernels.SameThreads(0)); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 700 {
			t.Errorf("%s: got %v, want %q", fault, err, want)
		}
	}
	t.Setenv("HOSTILE", "")
	lib := open(t, o, 0)
	segment := kernels.Segment{Calls: []kernels.Call{{Op: kernels.Add, In: []kernels.Slot{0, 0}, Out: []kernels.Slot{1}}}}
	for fault, want := range map[string]string{
		"compile fails": "returned -1: shape", "compile gives nothing": "no kernel, and TROUPE_OK", "no kernel": kernels.ErrNoKernel.Error(),
	} {
		t.Setenv("HOSTILE", fault)
		_, err := lib.Compile(segment)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, kernels.ErrNoKernel) != (fault == "no kernel") {
			t.Errorf("%s: got %v, want %q", fault, err, want)
		}
	}
	t.Setenv("HOSTILE", "")
	k, err := lib.Compile(segment)
	if err != nil {
		t.Fatal(err)
	}
	frame := &kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{{1}, {0}}}
	for _, c := range []struct{ fault, want string }{
		{"run fails", "troupe_run: returned 5: device ? lost"}, {"run fails silently", "returned 1: no reason given"},
	} {
		t.Setenv("HOSTILE", c.fault)
		if err := k.Run(frame); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.fault, err, c.want)
		}
	}
	t.Setenv("HOSTILE", "")
	if err := k.Run(frame); err != nil {
		t.Errorf("after a failed run: %v", err)
	}
}

// A weight or a table whose slices do not fit its shape never reaches C.
func TestSegmentErrors(t *testing.T) {
	lib := open(t, mustLoad(t, build(t, "testdata/hostile.c")), 1)
	short := &kernels.Weight{Name: "short", In: 2, Out: 2, F: make([]float32, 3)}
	for what, c := range map[string]kernels.Call{
		"weight": {Op: kernels.Linear, Weights: []*kernels.Weight{short}},
		"rope":   {Op: kernels.RoPE, Params: kernels.Params{KeySize: 4, Rope: &kernels.Rope{Cos: make([]float32, 4)}}},
		"size":   {Op: kernels.RoPE, Params: kernels.Params{Rope: &kernels.Rope{}}},
	} {
		if _, err := lib.Compile(kernels.Segment{Calls: []kernels.Call{c}}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Every kernel is given back once: by Close, by the collector when nobody holds it, or with the library.
func TestKernelsAreFreed(t *testing.T) {
	count := filepath.Join(t.TempDir(), "frees")
	t.Setenv("HOSTILE_FREES", count)
	o := mustLoad(t, build(t, "testdata/hostile.c"))
	lib, err := o.open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	compile := func() *kernel {
		k, err := lib.Compile(kernels.Segment{})
		if err != nil {
			t.Fatal(err)
		}
		return k.(*kernel)
	}
	live := func() int {
		l := lib.(*library)
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.kernels)
	}
	k := compile()
	if err := errors.Join(k.Close(), k.Close()); err != nil || live() != 0 {
		t.Errorf("%d kernels left after Close, error %v", live(), err)
	}
	if err := k.Run(&kernels.Frame{}); err == nil {
		t.Error("a kernel that was given back runs")
	}
	for range 10 {
		compile()
	}
	for i := 0; live() > 0 && i < 500; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	if live() != 0 {
		t.Errorf("%d kernels left that nobody holds", live())
	}
	k = compile()
	if err := errors.Join(lib.Close(), lib.Close(), k.Close()); err != nil {
		t.Error(err)
	}
	if _, err := lib.Compile(kernels.Segment{}); err == nil {
		t.Error("a closed library compiles")
	}
	if frees, err := os.ReadFile(count); err != nil || len(frees) != 12 {
		t.Errorf("troupe_free called %d times for 12 kernels, error %v", len(frees), err)
	}
}
