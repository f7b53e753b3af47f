//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// Whatever call of the driver fails, and when: an error that says where, no change of the frame or the cache, and, where
// the context has survived, the same calls run when they are tried again.
func TestEveryDriverError(t *testing.T) {
	needFake(t)
	fail := func(v string) {
		if err := os.Setenv("CUDA_FAKE_FAIL", v); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Unsetenv("CUDA_FAKE_FAIL") })
	for _, name := range []string{
		"cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceTotalMem", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuModuleLoadData",
		"cuModuleGetFunction", "cuStreamCreate", "cuEventCreate", "cuMemHostAlloc", "cuMemAlloc", "cuMemGetInfo", "cuMemFree", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync",
		"cuEventRecord", "cuEventSynchronize", "cuLaunchKernel", "cuStreamSynchronize", "kernel",
	} {
		for _, code := range []int{1, 2, 700} { // invalid value, out of memory, illegal address
			seen := false
			for n := 1; n < 200; n++ {
				if name == "kernel" && code != 700 {
					break // an error of a kernel sticks
				}
				fail(fmt.Sprintf("%s:%d:%d", name, n, code))
				failed, err := tryOnce(t, func() { fail("") })
				if err != nil {
					t.Fatalf("%s, call %d, error %d: %v", name, n, code, err)
				}
				if !failed {
					break
				}
				seen = true
			}
			if !seen && name != "cuMemFree" && name != "cuEventSynchronize" && (name != "kernel" || code == 700) {
				t.Errorf("%s is never called", name)
			}
		}
	}
}

// tryOnce opens, compiles and runs twice, and says whether something failed; an error is one of the test.
func tryOnce(t *testing.T, mend func()) (failed bool, err error) {
	l, err := openGPU(0)
	if err != nil {
		return true, message(err)
	}
	defer func() {
		if e := l.Close(); e != nil && err == nil && l.dev.Broken() == nil {
			failed, err = true, message(e)
		}
	}()
	h := newHalf(5, kernels.Int8, 1, 4, false)
	k, err := l.Compile(h.segment)
	if err != nil {
		if l.dev.Broken() == nil && len(l.weights) > 0 {
			return true, fmt.Errorf("compile failed and left %d weights", len(l.weights))
		}
		return true, message(err)
	}
	seq := &sequence{table: []int32{1, 3}}
	for range 2 {
		f := h.frame(9, seq)
		before, want := clone(f), clone(f)
		h.truth(t, want)
		if err := k.Run(f); err != nil {
			failed = true
			if e := message(err); e != nil {
				return true, e
			}
			if e := differ(f, before); e != nil {
				return true, fmt.Errorf("the run failed (%v) and has changed %v", err, e)
			}
			mend()
			again := k.Run(f)
			if broken := errors.Is(err, device.ErrBroken); broken != errors.Is(again, device.ErrBroken) || !broken && again != nil {
				return true, fmt.Errorf("%v; tried again: %v", err, again)
			}
			if again != nil {
				return true, nil
			}
		}
		if e := differ(f, want); e != nil {
			return failed, fmt.Errorf("wrong result: %w", e)
		}
		seq.len += 9
		h.truth(t, h.frame(1, seq)) // computed elsewhere, so that the second run has to upload a block
		seq.len++
	}
	return failed, nil
}

// message wants an error to name the GPU or what was counted, and the driver's number.
func message(err error) error {
	if s := err.Error(); !strings.HasPrefix(s, "cuda: ") || !strings.Contains(s, "GPU") || !strings.ContainsAny(s, "0123456789") {
		return fmt.Errorf("message %q", s)
	}
	return nil
}

// What does not fit is refused before anything is taken, by a message that says how much is missing.
func TestFull(t *testing.T) {
	needFake(t)
	t.Setenv("CUDA_FAKE_MEM_MB", "100")
	l := open(t)
	big := func(mb int) kernels.Segment {
		w := &kernels.Weight{Name: "transformer/big", In: 1 << 10, Out: mb << 8, F: make([]float32, mb<<18)}
		return kernels.Segment{Arith: kernels.Exact, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}}
	}
	free := func() int64 {
		if err := l.dev.Enter(); err != nil {
			t.Fatal(err)
		}
		defer l.dev.Leave()
		n, _, err := l.dev.Room()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := free()
	k, err := l.Compile(big(20))
	if err != nil {
		t.Fatal(err)
	}
	if got := before - free(); got < 20<<20 || got > 21<<20 {
		t.Errorf("20 MiB of weights took %d bytes", got)
	}
	for _, mb := range []int{30, 200} {
		left := free()
		_, err = l.Compile(big(mb))
		full, ok := errors.AsType[*device.FullError](err)
		if !ok || full.Need != int64(mb)<<20 || !strings.Contains(err.Error(), "transformer/big") || free() != left {
			t.Errorf("%d MiB of weights where 16 are free: %v; %d bytes were taken", mb, err, left-free())
		}
	}
	closed(t, k.(*kernel))
	if free() != before {
		t.Errorf("a closed kernel has left %d bytes", before-free())
	}
}

// A weight is on the GPU once, however many segments use it, and as long as one does. Memory that holds another weight
// is another weight.
func TestWeightsOnce(t *testing.T) {
	l := open(t)
	h := newHalf(6, kernels.Exact, 1, 4, false)
	compile := func() *kernel {
		k, err := l.Compile(h.segment)
		if err != nil {
			t.Fatal(err)
		}
		return k.(*kernel)
	}
	a, b := compile(), compile()
	if len(l.weights) != 4 { // three matrices and the table of the rotation
		t.Errorf("%d weights, want 4", len(l.weights))
	}
	closed(t, a)
	seq := &sequence{table: []int32{0}}
	f := h.frame(1, seq)
	want := clone(f)
	h.truth(t, want)
	if err := b.Run(f); err != nil {
		t.Fatal(err)
	}
	if err := differ(f, want); err != nil {
		t.Error(err)
	}
	h.segment.Calls[0].Weights[0].Q[100] ^= 0x55
	c := compile()
	if len(l.weights) != 5 {
		t.Errorf("%d weights after one has changed, want 5", len(l.weights))
	}
	closed(t, b)
	closed(t, c)
	if len(l.weights) != 0 {
		t.Errorf("%d weights are left", len(l.weights))
	}
}

// A matrix of many pieces arrives whole, packed or as it is: the page-locked buffers take turns.
func TestStaging(t *testing.T) {
	l := open(t)
	r := rand.New(rand.NewPCG(8, 8))
	in, out := 1<<12, 1<<13+24 // 2 1/4 buffers
	w := &kernels.Weight{Name: "raw", In: in, Out: out, Groups: 4, Q: make([]int8, in*out), Scales: make([]float32, 4*out)}
	for i := range w.Q {
		w.Q[i] = int8(r.Uint32())
	}
	panels := *w
	panels.Panels, panels.Q = true, make([]int8, kernels.PanelSize(in, out, 4))
	kernels.PackPanels(panels.Q, w.Q, in, out, 4, 0, kernels.NumPanels(out))
	for _, w := range []*kernels.Weight{w, &panels} {
		k, err := l.Compile(kernels.Segment{Arith: kernels.Exact, Calls: []kernels.Call{{Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{w}}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.dev.Enter(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(panels.Q))
		if err := errors.Join(l.stream.Download(got, k.(*kernel).held[0].data), l.stream.Wait()); err != nil {
			t.Fatal(err)
		}
		l.dev.Leave()
		if string(got) != string(bytesOf(panels.Q)) {
			t.Errorf("panels %v: the GPU holds other bytes", w.Panels)
		}
		closed(t, k.(*kernel))
	}
}

// Two GPUs have their own memory and do not mix it up.
func TestTwoGPUs(t *testing.T) {
	needFake(t)
	t.Setenv("CUDA_FAKE_DEVICES", "2")
	h := newHalf(9, kernels.Int8, 1, 4, true)
	seq := &sequence{table: []int32{2, 0}}
	f := h.frame(3, seq)
	want := clone(f)
	h.truth(t, want)
	var wait sync.WaitGroup
	for gpu := range 2 {
		wait.Go(func() {
			l, err := openGPU(gpu)
			if err != nil {
				t.Error(err)
				return
			}
			defer closed(t, l)
			k, err := l.Compile(h.segment)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				f := clone(f)
				if err := k.Run(f); err != nil {
					t.Error(err)
				} else if err := differ(f, want); err != nil {
					t.Errorf("GPU %d: %v", gpu, err)
				}
			}
		})
	}
	wait.Wait()
	if _, err := openGPU(2); err == nil || !strings.Contains(err.Error(), "there are 2") {
		t.Errorf("GPU 2: %v", err)
	}
}

// Segments are compiled while others run.
func TestCompileWhileRunning(t *testing.T) {
	l := open(t)
	h := newHalf(10, kernels.Exact, 1, 4, false)
	k, err := l.Compile(h.segment)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range 10 {
			other := newHalf(uint64(100+i), kernels.Int8, 1, 1, false)
			k, err := l.Compile(other.segment)
			if err != nil {
				t.Error(err)
				return
			}
			closed(t, k.(*kernel))
		}
	})
	f := h.frame(2, &sequence{table: []int32{1}})
	want := clone(f)
	h.truth(t, want)
	for range 10 {
		g := clone(f)
		if err := k.Run(g); err != nil {
			t.Fatal(err)
		}
		if err := differ(g, want); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
}

// Drivers and GPUs that do not suit are refused in words.
func TestUnsuited(t *testing.T) {
	needFake(t)
	for _, c := range []struct{ name, value, want string }{
		{"CUDA_FAKE_VERSION", "12000", "update it to 550"},
		{"CUDA_FAKE_CC", "75", "compute capability 7.5, the kernels need 8.0"},
		{"CUDA_FAKE_DEVICES", "0", "no GPU"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			l, err := openGPU(0)
			if err == nil {
				closed(t, l)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A frame that does not suit the calls is refused, not handed to kernels that check no index.
func TestHostileFrames(t *testing.T) {
	l := open(t)
	h := newHalf(11, kernels.Exact, 2, 4, false)
	k, err := l.Compile(h.segment)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*kernels.Frame){
		"position beyond the rotation": func(f *kernels.Frame) { f.Rows.Pos[0] = positions },
		"position beyond the table":    func(f *kernels.Frame) { f.Rows.Pos[1] = 100 },
		"negative position":            func(f *kernels.Frame) { f.Rows.Pos[1] = -1 },
		"block beyond the cache":       func(f *kernels.Frame) { f.Rows.Tables[0][1] = 4 },
		"negative block":               func(f *kernels.Frame) { f.Rows.Tables[0][0] = -7 },
		"sequence without a table":     func(f *kernels.Frame) { f.Rows.Seq[2] = 1 },
		"too many keyless":             func(f *kernels.Frame) { f.Rows.Keyless[0] = 99 },
		"more rows than positions":     func(f *kernels.Frame) { f.Rows.N++ },
		"short input":                  func(f *kernels.Frame) { f.Bufs[hidden] = f.Bufs[hidden][1:] },
		"short output":                 func(f *kernels.Frame) { f.Bufs[mix] = nil },
		"missing slot":                 func(f *kernels.Frame) { f.Bufs = f.Bufs[:mix] },
		"no cache":                     func(f *kernels.Frame) { f.Cache = nil },
		"no such layer":                func(f *kernels.Frame) { f.Cache.Layers = f.Cache.Layers[:1] },
		"another shape":                func(f *kernels.Frame) { f.Cache.KVHeads = 1 },
		"short cache":                  func(f *kernels.Frame) { f.Cache.Layers[1].V32 = f.Cache.Layers[1].V32[:10] },
		"no Skip":                      func(f *kernels.Frame) { f.Rows.Skip = nil },
	} {
		f := clone(h.frame(20, &sequence{table: []int32{1, 2}}))
		spoil(f)
		if err := k.Run(f); err == nil || errors.Is(err, device.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := h.frame(20, &sequence{table: []int32{1, 2}})
	want := clone(f)
	h.truth(t, want)
	if err := k.Run(f); err != nil {
		t.Fatal(err)
	}
	if err := differ(f, want); err != nil {
		t.Error(err)
	}
}
