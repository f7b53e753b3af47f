package kerneltest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/kernels"
)

// Case is one call, or a short run of calls, with operands made from a fixed seed.
type Case struct {
	Name  string // op/arithmetic/what is particular
	Arith kernels.Arith
	Ops   []kernels.Op // that a library must have to run it
	make  func(*setup)
}

// Cases lists the whole suite, by op in the order of the table, then by arithmetic.
func Cases() []Case {
	var all []Case
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference} {
		add := func(name string, make func(*setup), ops ...kernels.Op) {
			all = append(all, Case{fmt.Sprintf("%v/%v/%s", ops[0], arith, name), arith, ops, make})
		}
		vectorCases(add)
		linearCases(add)
		attendCases(arith, add)
		moeCases(add)
		segmentCases(add)
	}
	slices.SortStableFunc(all, func(a, b Case) int { return int(a.Ops[0]) - int(b.Ops[0]) })
	return all
}

// adder adds a case for the ops that it takes.
type adder func(name string, make func(*setup), ops ...kernels.Op)

// build makes the operands anew.
func (c *Case) build(where side, panels bool) *setup {
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	s := &setup{rng: rand.New(rand.NewPCG(h.Sum64(), 1)), mem: memory{side: where}, panels: panels}
	c.make(s)
	return s
}

// Verdict is what a case finds of a library.
type Verdict struct {
	// Ways counts how the operands lay, sides of their memory times layouts of their matrices, in the runs that
	// gave the right bytes. None and no error: the library has no kernel for the case, and said so.
	Ways int
	// Diff is the largest difference of an output from kernels/ref, relative to the largest magnitude of that
	// output: what kernels.Bound is a bound of. It is infinite where one of the two is no finite number.
	Diff float64
	Err  error // the first thing that is wrong
}

// Judge runs the case on a library. One that lacks an op of the case, or that arithmetic or shape of it, is right
// when its Compile says so by ErrNoKernel.
func (c Case) Judge(lib kernels.Library) Verdict {
	j, err := c.judge()
	if err != nil {
		return Verdict{Err: err}
	}
	defer j.close()
	return j.check(lib)
}

// Check is the error of Judge.
func (c Case) Check(lib kernels.Library) error { return c.Judge(lib).Err }

// Allocs is how often the case allocates a run when it has run before (M3), with GOMAXPROCS at 1. It
// tells nothing of what another process allocates.
func (c Case) Allocs(lib kernels.Library) (float64, error) {
	s := c.build(flushEnd, true)
	defer s.mem.close()
	k, err := lib.Compile(kernels.Segment{Arith: c.Arith, Calls: s.calls})
	if err != nil {
		return 0, fmt.Errorf("kerneltest: %s: %w", c.Name, err)
	}
	n := testing.AllocsPerRun(2, func() { err = errors.Join(err, k.Run(&s.frame)) })
	return n, err
}
