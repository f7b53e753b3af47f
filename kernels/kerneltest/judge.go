package kerneltest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"troupe/kernels"
	_ "troupe/kernels/ref" // the truth
)

// judge knows what a case should give.
type judge struct {
	Case
	want *setup // after kernels/ref has run on it
}

// judge has kernels/ref run the case.
func (c Case) judge() (*judge, error) {
	variant, err := kernels.Find("ref")
	if err != nil {
		return nil, err
	}
	truth, err := variant.Open(kernels.SameThreads(1))
	if err != nil {
		return nil, err
	}
	j := &judge{c, c.build(flushEnd, false)}
	if err = j.want.mem.err; err == nil {
		_, err = j.run(truth, j.want)
	}
	if err != nil {
		j.close()
		return nil, fmt.Errorf("kerneltest: %s: %w", c.Name, err)
	}
	return j, nil
}

func (j *judge) close() { j.want.mem.close() }

// check is Case.Judge.
func (j *judge) check(lib kernels.Library) (v Verdict) {
	info, bound := lib.Info(), 0.0
	if info.Promise != kernels.Identical {
		bound = kernels.Bound[j.Arith]
	}
	fail := func(format string, args ...any) Verdict {
		v.Err = fmt.Errorf("%s: %s: "+format, append([]any{info.Name, j.Name}, args...)...)
		return v
	}
	for _, op := range j.Ops {
		if !slices.Contains(info.Ops, op) {
			if _, err := lib.Compile(kernels.Segment{Arith: j.Arith, Calls: j.want.calls}); !errors.Is(err, kernels.ErrNoKernel) {
				return fail("%v is not in Info().Ops; compiled with %v, want ErrNoKernel", op, err)
			}
			return v
		}
	}
	for where := range numSides {
		for _, panels := range j.layouts() {
			diff, err := j.checkSide(lib, where, panels, bound)
			v.Diff = max(v.Diff, diff)
			switch {
			case errors.Is(err, errNotOffered):
			case err != nil:
				return fail("panels %v: %w", panels, err)
			default:
				v.Ways++
			}
		}
	}
	return v
}

// layouts are those that the case's weights can have: int8 weights may lie in panels.
func (j *judge) layouts() []bool {
	for _, c := range j.want.calls {
		for _, w := range c.Weights {
			if w.Quantised() {
				return []bool{false, true}
			}
		}
	}
	return []bool{false}
}

// checkSide checks one way in which the operands can lie, and says how far the outputs are from the truth's.
func (j *judge) checkSide(lib kernels.Library, where side, panels bool, bound float64) (diff float64, err error) {
	got := j.build(where, panels)
	defer got.mem.close()
	if got.mem.err != nil {
		return 0, got.mem.err
	}
	got.mem.remember()
	k, err := j.run(lib, got)
	if err != nil {
		return 0, err
	}
	diff = worstDifference(got, j.want)
	if err := compareOutputs(got, j.want, bound); err != nil {
		return diff, err
	}
	if err := checkInputs(got, j.want); err != nil {
		return diff, err
	}
	if len(j.Ops) > 1 {
		return diff, nil // a run of calls is no single op: it has no rows of its own
	}
	if err := checkAlone(k, got); err != nil {
		return diff, err
	}
	return diff, checkAgain(k, got)
}

// errNotOffered is the answer of a library that has no kernel for a case.
var errNotOffered = errors.New("not offered")

// brokenError is an error or a panic of the library itself, after which it may not be fit for other calls.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// run compiles the setup's calls and runs them.
func (j *judge) run(lib kernels.Library, s *setup) (k kernels.Kernel, err error) {
	err = protect(func() error {
		k, err = lib.Compile(kernels.Segment{Arith: j.Arith, Calls: s.calls})
		return err
	})
	if errors.Is(err, kernels.ErrNoKernel) {
		return nil, errNotOffered
	}
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return k, runOn(k, &s.frame)
}

// runOn has a kernel run, or says that it broke.
func runOn(k kernels.Kernel, f *kernels.Frame) error {
	return protect(func() error { return k.Run(f) })
}

// checkAgain runs once more on the same frame and cache: the same bytes must come, whatever the promise.
func checkAgain(k kernels.Kernel, s *setup) error {
	first := map[kernels.Slot][]float32{}
	for slot := range s.written() {
		first[slot] = slices.Clone(s.frame.Bufs[slot])
		fillUntouched(s.frame.Bufs[slot])
	}
	if err := runOn(k, &s.frame); err != nil {
		return fmt.Errorf("run again: %w", err)
	}
	for slot, want := range first {
		if err := differ(s.frame.Bufs[slot], want, 0); err != nil {
			return fmt.Errorf("run again: output %d: %w", slot, err)
		}
	}
	return nil
}

// protect turns panics into errors, and on this goroutine the touch of a guard page as well. (On
// another one that ends the process, with the address and the stack.) What goes wrong is a brokenError.
func protect(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = brokenError{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	if err := f(); err != nil {
		return brokenError{err}
	}
	return nil
}
