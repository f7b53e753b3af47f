package kerneltest

import (
	"testing"

	"troupe/kernels"
)

// openRef opens the truth.
func openRef(t *testing.T) kernels.Library {
	v, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// The truth agrees with itself, however often it runs and in whatever company.
func TestRef(t *testing.T) {
	lib := openRef(t)
	if err := CheckInfo(lib.Info()); err != nil {
		t.Error(err)
	}
	for _, c := range Cases() {
		if err := c.Check(lib); err != nil {
			t.Error(err)
		}
	}
}

// Every op is met under every arithmetic, and no two cases have the same name, which is their seed.
func TestCasesCoverTheTable(t *testing.T) {
	names := map[string]bool{}
	met := map[kernels.Op]map[kernels.Arith]int{}
	for _, c := range Cases() {
		if names[c.Name] {
			t.Errorf("two cases named %s", c.Name)
		}
		names[c.Name] = true
		if met[c.Ops[0]] == nil {
			met[c.Ops[0]] = map[kernels.Arith]int{}
		}
		met[c.Ops[0]][c.Arith]++
	}
	for op := range kernels.NumOps {
		if len(met[op]) != 3 {
			t.Errorf("%v: cases under %d arithmetics, want 3", op, len(met[op]))
		}
	}
}
