//go:build cuda && cgo && linux && (amd64 || arm64)

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/kernels/kerneltest"
	"troupe/plugins"
	"troupe/plugins/cuda/driver"
)

// program builds the plugin and says how it is started. These are the tests' own flags of cgo.
func program(t *testing.T) plugins.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cuda")
	if out, err := exec.Command("go", "build", "-tags", "cuda", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return plugins.Config{Path: path, Deadline: time.Minute}
}

// What the plugin says of itself wherever it is, and what it computes where there is a driver.
func TestPlugin(t *testing.T) {
	c := program(t)
	ctx := context.Background()
	t.Run("without a driver", func(t *testing.T) {
		t.Setenv("LD_LIBRARY_PATH", t.TempDir())
		all, err := plugins.Variants(ctx, c)
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		if v := all[0]; v.Score() > 0 {
			t.Skip("a driver is installed where the loader finds it")
		} else if v.Name != "plugin:cuda/0" || !strings.Contains(v.Needs, "no NVIDIA driver") {
			t.Errorf("%s needs %q", v.Name, v.Needs)
		}
	})
	if err := driver.Check(); err != nil {
		t.Skipf("%v (or have LD_LIBRARY_PATH lead to a fake driver: task gpu:fake)", err)
	}
	all, err := plugins.Variants(ctx, c)
	if err != nil || len(all) == 0 || all[0].Score() <= 0 {
		t.Fatal(all, err)
	}
	t.Run("conformance", func(t *testing.T) {
		lib, err := all[0].Open(kernels.SameThreads(2))
		if err != nil {
			t.Fatal(err)
		}
		defer lib.Close()
		for i, c := range kerneltest.Cases() {
			if c.Arith != kernels.Reference && (len(c.Ops) > 1 || i%7 == 0) { // all of them are library's to test
				if v := c.Judge(lib); v.Err != nil || v.Ways == 0 {
					t.Errorf("%s: judged in %d ways: %v", c.Name, v.Ways, v.Err)
				}
			}
		}
	})
	t.Run("model", func(t *testing.T) { whole(t, all[0]) })
	t.Run("broken context", func(t *testing.T) {
		if os.Getenv("CUDA_FAKE_FAIL") == "" && !strings.Contains(all[0].Doc, "Fake GPU") {
			t.Skip("errors are made to order by the fake driver alone: task gpu:fake")
		}
		broken(t, all[0])
	})
}

// whole has a small model go on with a prompt, on the GPU alone and with a layer computed elsewhere: the logits are those
// of kernels/ref, step by step, as the mirror of the cache follows.
func whole(t *testing.T, v kernels.Variant) {
	var lib *plugins.Library // the last that was opened
	start := v.Open
	v.Open = func(n kernels.Threads) (kernels.Library, error) {
		l, err := start(n)
		lib, _ = l.(*plugins.Library)
		return l, err
	}
	if err := kernels.Lend(v); err != nil {
		t.Fatal(err)
	}
	defer kernels.Return(v.Name)
	c := toy.Config()
	w := toy.Weights(c, toy.Int8, 3)
	logits := func(arith kernels.Arith, binding string) (all [][]float32) {
		b, err := kernels.ParseBinding(binding)
		if err != nil {
			t.Fatal(err)
		}
		loop, err := solo.New(solo.Options{Config: c, Weights: w, Arith: arith, Binding: b, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer loop.Close()
		prompt := []int32{3, 9, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9}
		if all, err = loop.Prefill(prompt, 0); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			l, err := loop.Decode(int32(20+i), len(prompt)+i, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Clone(l))
		}
		return all
	}
	for _, arith := range []kernels.Arith{kernels.Int8, kernels.Exact} {
		want := logits(arith, "ref")
		for _, binding := range []string{v.Name, v.Name + ",@1=ref", "ref,attend=" + v.Name, "ref,expert=" + v.Name} {
			all := logits(arith, binding)
			if lib == nil {
				t.Fatalf("%v, %s: the plugin was not opened", arith, binding)
			}
			if stats := lib.Stats(); stats.Calls < 20 { // after a fault others compute
				t.Errorf("%v, %s: the plugin was hardly asked: %+v", arith, binding, stats)
			}
			for i, got := range all {
				if d, same := kernels.Compare(got, want[i], 0); !same {
					t.Errorf("%v, %s: position %d: %+v", arith, binding, i, d)
					break
				}
			}
		}
	}
}

// broken has a kernel fail in a way that the GPU's context does not survive: the run's fault says so, the library is of
// no more use, and another start is well.
func broken(t *testing.T, v kernels.Variant) {
	add := kernels.Segment{Arith: kernels.Exact, Calls: []kernels.Call{{Op: kernels.Add, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2}}}}
	run := func(fail string) error {
		t.Setenv("CUDA_FAKE_FAIL", fail)
		lib, err := v.Open(kernels.SameThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		defer lib.Close()
		k, err := lib.Compile(add)
		if err != nil {
			t.Fatal(err)
		}
		f := &kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{{1, 2}, {3, 4}, {-1, -1}}}
		err = k.Run(f)
		if want := []float32{4, 6}; err == nil && (f.Bufs[2][0] != want[0] || f.Bufs[2][1] != want[1]) {
			t.Errorf("%v, want %v", f.Bufs[2], want)
		}
		if err != nil && f.Bufs[2][0] != -1 {
			t.Errorf("a run that failed has written %v", f.Bufs[2])
		}
		return err
	}
	err := run("kernel:1:700")
	if fault := (*kernels.Fault)(nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), "700") || !strings.Contains(err.Error(), "started again") {
		t.Errorf("%v, want a fault with the driver's error", err)
	}
	if err := run(""); err != nil {
		t.Error(err)
	}
}
