package kerneltest

import (
	"fmt"
	"strings"
	"testing"

	"troupe/kernels"
)

// Run judges a library with 1, 2 and 3 threads, each op and arithmetic a subtest. An error of open skips:
// this machine cannot run the library. A library need not have every arithmetic and shape of its ops
// (ErrNoKernel), but of each some. With -short it is a fourth of the cases.
func Run(t *testing.T, open func(kernels.Threads) (kernels.Library, error)) {
	var libs []kernels.Library
	for threads := 1; threads <= 3; threads++ {
		lib, err := open(kernels.SameThreads(threads))
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			if err := lib.Close(); err != nil {
				t.Error(err)
			}
		})
		if err := CheckInfo(lib.Info()); err != nil {
			t.Error(err)
		}
		libs = append(libs, lib)
	}
	all, tried, offered := map[kernels.Op]int{}, map[kernels.Op]int{}, map[kernels.Op]int{}
	for i, c := range Cases() {
		all[c.Ops[0]]++
		if testing.Short() && i%4 > 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			tried[c.Ops[0]]++
			j, err := c.judge()
			if err != nil {
				t.Fatal(err)
			}
			defer j.close()
			for i, lib := range libs {
				v := j.check(lib)
				if v.Err != nil {
					t.Errorf("%d threads: %v", i+1, v.Err)
				}
				offered[c.Ops[0]] += v.Ways
			}
		})
	}
	for _, op := range libs[0].Info().Ops {
		if tried[op] == all[op] && offered[op] == 0 { // unless -run left cases out
			t.Errorf("%s: %v is in Info().Ops, and compiled for none of its %d cases", libs[0].Info().Name, op, all[op])
		}
	}
}

// CheckInfo reports what a library says wrongly of itself.
func CheckInfo(info kernels.Info) error {
	seen := map[kernels.Op]bool{}
	for _, op := range info.Ops {
		if op >= kernels.NumOps || seen[op] {
			return fmt.Errorf("kerneltest: %s: op %v unknown or listed twice", info.Name, op)
		}
		seen[op] = true
	}
	switch {
	case info.Name == "" || strings.ContainsAny(info.Name, " =,@"):
		return fmt.Errorf("kerneltest: library name %q: want one that a binding can hold", info.Name)
	case info.Doc == "" || info.Version == "":
		return fmt.Errorf("kerneltest: %s: no description or version", info.Name)
	case len(info.Ops) == 0:
		return fmt.Errorf("kerneltest: %s: no ops", info.Name)
	case info.Promise != kernels.Identical && info.Promise != kernels.Close:
		return fmt.Errorf("kerneltest: %s: promise %d unknown", info.Name, info.Promise)
	}
	return nil
}
