package plugins

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/kernels"
)

// sums are kernels of y = a + b with frames of their own, of different widths.
func sums(t *testing.T, lib kernels.Library, n int) (list []kernels.Kernel, frames []kernels.Frame) {
	t.Helper()
	for i := range n {
		s, f := addFrame(t, 100+i)
		k, err := lib.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		list, frames = append(list, k), append(frames, *f)
	}
	return list, frames
}

// Several kernels run in one call, each on its own frame, without allocating; what cannot be one call is refused and
// harms nothing.
func TestSeveral(t *testing.T) {
	lib, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	l := lib.(*Library)
	list, frames := sums(t, lib, kernels.MostSeveral+1)
	for n := 1; n <= kernels.MostSeveral; n++ {
		before := l.Stats().Calls
		for i := range frames {
			clear(frames[i].Bufs[2])
		}
		if err := l.RunSeveral(list[:n], frames[:n]); err != nil {
			t.Fatal(err)
		}
		if calls := l.Stats().Calls - before; calls != 1 {
			t.Errorf("%d kernels took %d calls, want 1", n, calls)
		}
		for i := range frames {
			a, b, y := frames[i].Bufs[0], frames[i].Bufs[1], frames[i].Bufs[2]
			for j := range y {
				if want := (a[j] + b[j]); i < n && y[j] != want || i >= n && y[j] != 0 {
					t.Fatalf("%d kernels: element %d of %d is %v, its sum is %v", n, j, i, y[j], want)
				}
			}
		}
	}
	if n := testing.AllocsPerRun(50, func() {
		if err := l.RunSeveral(list[:2], frames[:2]); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
	other, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	foreign, foreignFrames := sums(t, other, 1)
	attention := newAttention(t, true, true, 0)
	cached, err := lib.Compile(attention.segment)
	if err != nil {
		t.Fatal(err)
	}
	short := frames[0]
	short.Bufs = short.Bufs[:2]
	for _, c := range []struct {
		what   string
		list   []kernels.Kernel
		frames []kernels.Frame
		want   string
	}{
		{"none", nil, nil, "0 kernels"},
		{"too many", list, frames, "9 kernels"},
		{"frames are missing", list[:2], frames[:1], "2 kernels and 1 frames"},
		{"twice", []kernels.Kernel{list[0], list[0]}, frames[:2], "twice"},
		{"another library's", []kernels.Kernel{list[0], foreign[0]}, []kernels.Frame{frames[0], foreignFrames[0]}, "another library"},
		{"a cache", []kernels.Kernel{list[0], cached}, []kernels.Frame{frames[0], attention.frame}, "with a cache"},
		{"a short frame", list[:2], []kernels.Frame{frames[1], short}, "buffers, want"},
	} {
		var fault *kernels.Fault
		if err := l.RunSeveral(c.list, c.frames); err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &fault) {
			t.Errorf("%s: %v, want %q and no fault", c.what, err, c.want)
		}
	}
	if err := list[0].Run(&frames[0]); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What one of several does wrong is a fault, and nothing is written of any of them.
func TestSeveralFaults(t *testing.T) {
	for mode, kind := range map[string]kernels.FaultKind{"nan": kernels.Lie, "lazy": kernels.Lie, "error": kernels.Crash, "panic": kernels.Crash, "sigkill": kernels.Crash} {
		lib, err := reference(Config{Args: []string{mode}, Deadline: time.Minute}).Open(kernels.SameThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		list, frames := sums(t, lib, 3)
		var before [3][]float32
		for i := range frames {
			before[i] = slices.Clone(frames[i].Bufs[2])
		}
		var fault *kernels.Fault
		if err := lib.(*Library).RunSeveral(list, frames); !errors.As(err, &fault) || fault.Kind != kind {
			t.Errorf("%s: %v, want a fault of kind %v", mode, err, kind)
		}
		for i := range frames {
			if !slices.Equal(before[i], frames[i].Bufs[2]) {
				t.Errorf("%s: output %d has changed", mode, i)
			}
		}
		if err := lib.(*Library).RunSeveral(list, frames); !errors.As(err, &fault) || fault.Kind != kernels.Lost {
			t.Errorf("%s: again: %v, want lost", mode, err)
		}
		if err := lib.Close(); err != nil {
			t.Error(err)
		}
	}
}
