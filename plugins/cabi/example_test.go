//go:build cgo && (linux || darwin)

package main

import (
	"errors"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
	"troupe/tensor"
)

// The examples keep what they promise: the bits of kernels/ref.
func TestExamples(t *testing.T) {
	for _, source := range []string{"example/expert.c", "example/ops.c"} {
		t.Run(source, func(t *testing.T) {
			o := mustLoad(t, build(t, source))
			kerneltest.Run(t, o.variant().Open)
		})
	}
	t.Run("example/add.rs", func(t *testing.T) {
		o := mustLoad(t, buildRust(t, "example/add.rs"))
		kerneltest.Run(t, o.variant().Open)
	})
}

// The flags that make it fast change no bit.
func TestFastFlags(t *testing.T) {
	lib := open(t, mustLoad(t, build(t, "example/expert.c", "-O3", "-march=native")), 1)
	for _, c := range kerneltest.Cases() {
		if strings.HasPrefix(c.Name, "expert/") {
			if err := c.Check(lib); err != nil {
				t.Error(err)
			}
		}
	}
}

// M3: a run allocates nothing in Go when its memory lies outside the Go heap, as a plugin's does.
func TestNoAllocations(t *testing.T) {
	arena, err := tensor.NewArena("test", 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Close()
	k, err := open(t, mustLoad(t, build(t, "example/ops.c")), 1).Compile(kernels.Segment{Calls: []kernels.Call{
		{Op: kernels.Add, In: []kernels.Slot{0, 1}, Out: []kernels.Slot{2}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := &kernels.Frame{Rows: kernels.Rows{N: 1, Tables: make([][]int32, 1), Skip: make([][]int32, 1)}}
	for range 3 {
		f.Bufs = append(f.Bufs, cut[float32](t, arena, 100))
	}
	r := &f.Rows
	for _, s := range []*[]int32{&r.Token, &r.Pos, &r.Seq, &r.First, &r.Keyless, &r.Draw, &r.Tables[0], &r.Skip[0]} {
		*s = cut[int32](t, arena, 1)
	}
	f.Bufs[0][7], f.Bufs[1][7] = 1, 2
	n := testing.AllocsPerRun(10, func() { err = errors.Join(err, k.Run(f)) })
	if err != nil || n != 0 || f.Bufs[2][7] != 3 {
		t.Errorf("%v allocations a run, sum %v, error %v: want 0, 3 and none", n, f.Bufs[2][7], err)
	}
}

func cut[T float32 | int32](t *testing.T, arena *tensor.Arena, n int) []T {
	s, err := tensor.Slice[T](arena, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
