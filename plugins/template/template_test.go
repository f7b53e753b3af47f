package main

import (
	"errors"
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

// The suite that every library of troupe goes through: all ops that the library lists, in all arithmetics and layouts that
// it offers, odd shapes, extreme values, each row alone and in company. `troupe kernels test` does the same with the
// program, through its process.
func TestConformance(t *testing.T) { kerneltest.Run(t, variant.Open) }

// Bad calls are errors, and what is not offered says so in the way that lets the engine choose another library.
func TestCompile(t *testing.T) {
	lib, err := variant.Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	for _, c := range []struct {
		what       string
		call       kernels.Call
		notOffered bool
	}{
		{"another op", kernels.Call{Op: kernels.Add}, true},
		{"no weight", kernels.Call{Op: kernels.RMSNorm, In: []kernels.Slot{0}, Out: []kernels.Slot{1}}, false},
		{"a short weight", kernels.Call{Op: kernels.RMSNorm, In: []kernels.Slot{0}, Out: []kernels.Slot{1},
			Weights: []*kernels.Weight{{Name: "scale", In: 1, Out: 8, F: make([]float32, 7)}}}, false},
	} {
		_, err := lib.Compile(kernels.Segment{Calls: []kernels.Call{c.call}})
		if err == nil || errors.Is(err, kernels.ErrNoKernel) != c.notOffered {
			t.Errorf("%s: error %v, want one that wraps ErrNoKernel: %v", c.what, err, c.notOffered)
		}
	}
}
