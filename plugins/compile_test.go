package plugins

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/tensor"
)

// multiply is y = x · w for one row.
func multiply(w *kernels.Weight) kernels.Segment {
	return kernels.Segment{Arith: kernels.Exact, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}}
}

func openReference(t testing.TB) *Library {
	t.Helper()
	lib, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lib.Close() })
	return lib.(*Library)
}

// Weights on the heap are copied once for all kernels that use them, and given back with the last; memory that is used
// again for other contents is copied again.
func TestConstants(t *testing.T) {
	lib := openReference(t)
	w := &kernels.Weight{Name: "w", In: 100, Out: 200, F: floats(t, rand.New(rand.NewPCG(1, 1)), nil, 100*200)}
	compile := func() *Kernel {
		k, err := lib.Compile(multiply(w))
		if err != nil {
			t.Fatal(err)
		}
		return k.(*Kernel)
	}
	result := func(k *Kernel) []float32 {
		f := kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{slices.Repeat([]float32{1}, 100), make([]float32, 200)}}
		if err := k.Run(&f); err != nil {
			t.Fatal(err)
		}
		return f.Bufs[1]
	}
	a, b := compile(), compile()
	size := lib.Stats().Constants
	if size < 4*100*200 || size > 5*100*200 {
		t.Errorf("%d bytes for two kernels of one weight", size)
	}
	before := result(a)
	w.F[0]++
	c := compile()
	if got := result(c); got[0] == before[0] || got[1] != before[1] || lib.Stats().Constants != 2*size {
		t.Errorf("after a change: %v, before %v; %d bytes", got[:2], before[:2], lib.Stats().Constants)
	}
	if got := result(b); !slices.Equal(got, before) {
		t.Error("a kernel's weight has changed under it")
	}
	for _, k := range []*Kernel{a, b, c} {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	lib.collect(true)
	if n := lib.Stats().Constants; n != 0 {
		t.Errorf("%d bytes are left of no kernel", n)
	}
	if err := c.Run(&kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{make([]float32, 100), make([]float32, 200)}}); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("a kernel that is closed: %v", err)
	}
}

// Kernels that nobody holds are forgotten without being closed.
func TestForgottenKernels(t *testing.T) {
	lib := openReference(t)
	w := &kernels.Weight{Name: "w", In: 100, Out: 200, F: make([]float32, 100*200)}
	for start := time.Now(); time.Since(start) < 20*time.Second; {
		if _, err := lib.Compile(multiply(w)); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		lib.trash.mu.Lock()
		n := len(lib.trash.held)
		lib.trash.mu.Unlock()
		if n > 3 {
			lib.collect(true)
			return
		}
	}
	t.Error("kernels are never forgotten")
}

// Regions that the engine has closed are let go of by the plugin as well.
func TestRegionsGoAway(t *testing.T) {
	lib := openReference(t)
	for range 5 {
		arena, err := tensor.NewArena("test", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		x, err := tensor.Slice[float32](arena, 100)
		if err != nil {
			t.Fatal(err)
		}
		w := &kernels.Weight{Name: "w", In: 100, Out: 200, F: make([]float32, 100*200)}
		k, err := lib.Compile(multiply(w))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Run(&kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{x, make([]float32, 200)}}); err != nil {
			t.Fatal(err)
		}
		arena.Close()
	}
	lib.collect(true)
	if n := len(lib.shared.given); n != 0 {
		t.Errorf("%d regions of closed arenas", n)
	}
}

// Segments are compiled while others run.
func TestCompileWhileRunning(t *testing.T) {
	lib := openReference(t)
	s, f := addFrame(t, 3000)
	k, err := lib.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			w := &kernels.Weight{Name: "w", In: 10 + i, Out: 20, F: make([]float32, (10+i)*20)}
			for range 50 {
				k, err := lib.Compile(multiply(w))
				if err != nil {
					t.Error(err)
					return
				}
				if err := k.(*Kernel).Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		if err := k.Run(f); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// What cannot be compiled is an error, and the library goes on.
func TestCompileErrors(t *testing.T) {
	lib := openReference(t)
	short := &kernels.Weight{Name: "short", In: 10, Out: 10, F: make([]float32, 99)}
	for _, c := range []struct {
		name string
		s    kernels.Segment
		want string
		none bool
	}{
		{"unknown op", kernels.Segment{Calls: []kernels.Call{{Op: kernels.NumOps, In: []kernels.Slot{0}, Out: []kernels.Slot{1}}}}, "op(", true},
		{"short weight", multiply(short), "short", false},
		{"no weight", multiply(nil), "without its weight", false},
		{"no operands", kernels.Segment{Calls: []kernels.Call{{Op: kernels.Add}}}, "0 inputs", false},
		{"arithmetic", kernels.Segment{Arith: 9}, "arithmetic", false},
	} {
		_, err := lib.Compile(c.s)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, kernels.ErrNoKernel) != c.none {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := lib.Compile(multiply(&kernels.Weight{Name: "w", In: 1, Out: 1, F: []float32{1}})); err != nil {
		t.Error(err)
	}
}
