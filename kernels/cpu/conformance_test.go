package cpu

import (
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

// variants are those of this package that this machine can run.
func variants() (all []kernels.Variant) {
	for _, v := range kernels.Variants() {
		if v.Name != "ref" && v.Score() > 0 {
			all = append(all, v)
		}
	}
	return all
}

func TestConformance(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.Name, func(t *testing.T) { kerneltest.Run(t, v.Open) })
	}
}

func FuzzLinear(f *testing.F) { kerneltest.FuzzLinear(f, variants()[0].Open) }

// M3: nothing is allocated once scratch memory has grown, on one thread or more.
func TestNoAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("as long as conformance")
	}
	for _, v := range variants() {
		for _, threads := range []int{1, 2} {
			lib, err := v.Open(kernels.SameThreads(threads))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range kerneltest.Cases() {
				n, err := c.Allocs(lib)
				if err != nil || n > 0 {
					t.Errorf("%s, %d threads: %s: %v allocations a run, error %v", v.Name, threads, c.Name, n, err)
				}
			}
			if err := lib.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	lib := open(genericName, genericDoc, &genericLoops, kernels.SameThreads(1))
	defer lib.Close()
	bad := &kernels.Weight{Name: "w", In: 2, Out: 2, F: make([]float32, 3)}
	for what, c := range map[string]kernels.Call{
		"unknown op": {Op: kernels.NumOps},
		"weight":     {Op: kernels.Linear, In: []kernels.Slot{0}, Out: []kernels.Slot{1}, Weights: []*kernels.Weight{bad}},
	} {
		if _, err := lib.Compile(kernels.Segment{Calls: []kernels.Call{c}}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
