package plugins

import (
	"slices"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/tensor"
)

// addFrame is a frame of one row for y = a + b in an arena, as batches have it.
func addFrame(t testing.TB, width int) (kernels.Segment, *kernels.Frame) {
	t.Helper()
	arena, err := tensor.NewArena("test", 3*4*width+3*64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { arena.Close() })
	f := &kernels.Frame{Rows: kernels.Rows{N: 1}}
	for i := range 3 {
		buf, err := tensor.Slice[float32](arena, width)
		if err != nil {
			t.Fatal(err)
		}
		for j := range buf {
			buf[j] = float32(i*width + j)
		}
		f.Bufs = append(f.Bufs, buf)
	}
	return kernels.Segment{Calls: []kernels.Call{{Op: kernels.Add, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2}}}}, f
}

// What a call costs besides its kernel: an empty segment, and one that adds two rows of 24 KB in the reference's plain
// loop. median-µs is that of single calls; ns/op is a mean, in which the machine's other work shows.
func BenchmarkCall(b *testing.B) {
	v := lent(b, Config{Deadline: time.Minute}, "plugin:testplugin/ref")
	for _, c := range []struct {
		name  string
		width int
	}{{"empty", 0}, {"24KB", 6144}} {
		b.Run(c.name, func(b *testing.B) {
			lib, err := v.Open(kernels.SameThreads(1))
			if err != nil {
				b.Fatal(err)
			}
			defer lib.Close()
			s, f := addFrame(b, max(c.width, 1))
			if c.width == 0 {
				s.Calls, f.Bufs = nil, nil
			}
			k, err := lib.Compile(s)
			if err != nil {
				b.Fatal(err)
			}
			times := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				if err := k.Run(f); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2])/1e3, "median-µs")
			b.ReportMetric(float64(times[len(times)*99/100])/1e3, "p99-µs")
			stats := lib.(*Library).Stats()
			b.ReportMetric(float64(stats.Kernel)/float64(stats.Calls)/1e3, "kernel-µs")
		})
	}
}

// What it takes to start a plugin and close it, and to compile a segment of one call in it.
func BenchmarkOpen(b *testing.B) {
	v := reference(Config{})
	for b.Loop() {
		lib, err := v.Open(kernels.SameThreads(1))
		if err != nil {
			b.Fatal(err)
		}
		if err := lib.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	lib := openReference(b)
	s, _ := addFrame(b, 10)
	for b.Loop() {
		k, err := lib.Compile(s)
		if err != nil {
			b.Fatal(err)
		}
		if err := k.(*Kernel).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
