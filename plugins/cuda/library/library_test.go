//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
	"troupe/plugins/cuda/device"
	"troupe/plugins/cuda/driver"
)

// needDriver skips the test where there is neither a GPU nor the fake driver.
func needDriver(t testing.TB) {
	t.Helper()
	if err := driver.Check(); err != nil {
		t.Skipf("%v (or have LD_LIBRARY_PATH lead to a fake driver: task gpu:fake)", err)
	}
}

// needFake skips the test on a real GPU: it is about settings that only the fake driver has.
func needFake(t testing.TB) {
	t.Helper()
	needDriver(t)
	all, err := device.List()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(all[0].Name, "Fake GPU") {
		t.Skip("errors are made to order by the fake driver alone: task gpu:fake")
	}
}

func openGPU(ordinal int) (*Library, error) {
	return Open("cuda/0", ordinal, kernels.SameThreads(2))
}

// open takes GPU 0, real or fake.
func open(t testing.TB) *Library {
	t.Helper()
	needDriver(t)
	l, err := openGPU(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, l) })
	return l
}

func closed(t testing.TB, l interface{ Close() error }) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// The library has all ops under two arithmetics, and gives more than it promises: the bits of kernels/ref. That is so
// on the CPU build of the kernels and, as nothing in them depends on the machine, expected of a GPU.
func TestConformance(t *testing.T) {
	l := open(t)
	if err := kerneltest.CheckInfo(l.Info()); err != nil {
		t.Error(err)
	}
	l.info.Promise = kernels.Identical
	for _, c := range kerneltest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			v := c.Judge(l)
			if v.Err != nil {
				t.Error(v.Err)
			}
			if offered := v.Ways > 0; offered == (c.Arith == kernels.Reference) {
				t.Errorf("judged in %d ways", v.Ways)
			}
		})
	}
}

// A run allocates nothing once it has run before.
func TestAllocs(t *testing.T) {
	l := open(t)
	for _, c := range kerneltest.Cases() {
		if c.Arith == kernels.Reference || len(c.Ops) == 1 && !strings.Contains(c.Name, "values") {
			continue
		}
		n, err := c.Allocs(l)
		if err != nil || n > 0 {
			t.Errorf("%s: %v allocations, %v", c.Name, n, err)
		}
	}
}

func FuzzLinear(f *testing.F) {
	kerneltest.FuzzLinear(f, func(kernels.Threads) (kernels.Library, error) {
		if err := driver.Check(); err != nil {
			return nil, err
		}
		return openGPU(0)
	})
}
