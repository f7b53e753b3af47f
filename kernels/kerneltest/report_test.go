package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"troupe/kernels"
)

// picky is the truth without kernels for what it refuses.
type picky struct {
	kernels.Library
	refuse func(kernels.Segment) error
}

func (p *picky) Compile(s kernels.Segment) (kernels.Kernel, error) {
	if err := p.refuse(s); err != nil {
		return nil, err
	}
	return p.Library.Compile(s)
}

var errNone = fmt.Errorf("a test: %w", kernels.ErrNoKernel)

// judged judges what open opens by some ops, with one thread.
func judged(t *testing.T, ops []kernels.Op, open func(kernels.Library) kernels.Library) *Report {
	t.Helper()
	done := 0
	s := Suite{Threads: []int{1}, Ops: ops, Progress: func(n, all int) { done = n - all },
		Open: func(kernels.Threads) (kernels.Library, error) { return open(openRef(t)), nil }}
	r, err := s.Judge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 3*len(ops) || done != 0 {
		t.Errorf("%d findings for %v; %d cases missing", len(r.Findings), ops, done)
	}
	return r
}

// The truth keeps its promise.
func TestReport(t *testing.T) {
	r := judged(t, []kernels.Op{kernels.Linear, kernels.Add}, func(l kernels.Library) kernels.Library { return l })
	if !r.Kept() || r.Restarts != 0 || r.Info.Name != "ref" {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Cases == 0 || f.Offered != f.Cases || f.Ways < 2*f.Cases || f.Failed+f.LeftOut != 0 || f.Diff != 0 || f.Err != nil || !f.Listed {
			t.Errorf("%+v", f)
		}
	}
}

// A library need not have every arithmetic and layout, but of each op that it lists some.
func TestReportNotOffered(t *testing.T) {
	r := judged(t, []kernels.Op{kernels.Linear, kernels.Add}, func(l kernels.Library) kernels.Library {
		return &picky{l, func(s kernels.Segment) error {
			if w := s.Calls[0].Weights; s.Arith != kernels.Int8 || len(w) > 0 && w[0].Panels {
				return errNone
			}
			return nil
		}}
	})
	if !r.Kept() {
		t.Errorf("%v, missing %v", r.first(), r.Missing())
	}
	for _, f := range r.Findings {
		if has := f.Arith == kernels.Int8; has != (f.Offered > 0) || has != (f.Ways > 0) {
			t.Errorf("%+v", f)
		}
	}
	r = judged(t, []kernels.Op{kernels.Combine, kernels.Add}, func(l kernels.Library) kernels.Library {
		return &picky{l, func(s kernels.Segment) error {
			if s.Calls[0].Op == kernels.Add {
				return errNone
			}
			return nil
		}}
	})
	if !slices.Equal(r.Missing(), []kernels.Op{kernels.Add}) || r.first() != nil || r.Kept() {
		t.Errorf("missing %v, want add alone", r.Missing())
	}
}

// A wrong result is said with its size, and costs nothing but its case.
func TestReportWrong(t *testing.T) {
	r := judged(t, []kernels.Op{kernels.Combine, kernels.Add}, func(l kernels.Library) kernels.Library {
		return &liar{l, l.Info(), func(c *kernels.Call, f *kernels.Frame) {
			if out := f.Bufs[c.Out[0]]; c.Op == kernels.Add && len(out) > 3 {
				out[0] += 100
			}
		}}
	})
	if r.Kept() || r.Restarts != 0 {
		t.Errorf("kept, or %d restarts", r.Restarts)
	}
	for _, f := range r.Findings {
		if wrong := f.Op == kernels.Add; wrong != (f.Err != nil) || wrong != (f.Failed > 0) || wrong != (f.Diff > 1) || f.LeftOut > 0 {
			t.Errorf("%+v", f)
		}
	}
}

// A library that breaks is opened again, and not for ever.
func TestReportBroken(t *testing.T) {
	gone, opened := errors.New("gone"), 0
	r := judged(t, []kernels.Op{kernels.Combine, kernels.Add}, func(l kernels.Library) kernels.Library {
		opened++
		lost := false
		return &picky{l, func(s kernels.Segment) error {
			if lost = lost || s.Calls[0].Op == kernels.Add && s.Arith == kernels.Exact; lost {
				return gone
			}
			return nil
		}}
	})
	if r.Kept() || opened != 1+maxBroken || r.Restarts != maxBroken {
		t.Errorf("opened %d times, %d restarts, want %d more", opened, r.Restarts, maxBroken)
	}
	for _, f := range r.Findings {
		if f.Op != kernels.Add || f.Arith != kernels.Exact {
			if f.Failed+f.LeftOut != 0 || f.Offered != f.Cases {
				t.Errorf("%+v", f)
			}
		} else if f.Failed != maxBroken || f.LeftOut != f.Cases-maxBroken || !errors.Is(f.Err, gone) {
			t.Errorf("%+v", f)
		}
	}
}

func TestReportEnds(t *testing.T) {
	s := Suite{Open: func(kernels.Threads) (kernels.Library, error) { return nil, errors.New("not here") }}
	if r, err := s.Judge(t.Context()); r != nil || err == nil {
		t.Errorf("%v, %v, want an error", r, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	s = Suite{Threads: []int{1}, Open: func(kernels.Threads) (kernels.Library, error) { return openRef(t), nil },
		Progress: func(done, _ int) {
			if done == 5 {
				cancel(stop)
			}
		}}
	r, err := s.Judge(ctx)
	if err != stop || len(r.Findings) != 1 || r.Findings[0].Cases != 5 {
		t.Errorf("%v, %+v", err, r)
	}
}
