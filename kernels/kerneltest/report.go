package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"troupe/kernels"
)

// Suite says what a library is judged by, without package testing.
type Suite struct {
	// Open opens the library, and again after it has failed a call: one in another process may be gone.
	Open     func(kernels.Threads) (kernels.Library, error)
	Threads  []int                   // with how many it is judged; nil: 1, 2 and 3
	Ops      []kernels.Op            // nil: all
	Ariths   []kernels.Arith         // nil: all
	Progress func(done, all int)     // cases; may be nil
	Failed   func(c Case, v Verdict) // is told of each case that was not right; may be nil
}

// Report is what a suite has found of a library.
type Report struct {
	Info     kernels.Info
	Err      error     // of the Info
	Findings []Finding // by op in the order of the table, then by arithmetic
	Restarts int       // how often the library was opened again
}

// Finding is what the cases of one op under one arithmetic have found. A run of calls counts for its first op.
type Finding struct {
	Op     kernels.Op
	Arith  kernels.Arith
	Listed bool // in Info().Ops
	Cases  int
	// Offered counts the cases that the library has a kernel for, Failed those that were not right, LeftOut those
	// that were not tried because maxBroken before them had cost the library.
	Offered, Failed, LeftOut int
	Ways                     int     // as Verdict has it, of all cases
	Diff                     float64 // as Verdict has it, the largest
	Err                      error   // the first
}

// maxBroken bounds the calls of one op under one arithmetic that may cost the library.
const maxBroken = 3

// Kept tells whether the library is what its Info says: everything it computes is right, and there is no op in
// its list that it does not have at all.
func (r *Report) Kept() bool { return r.Err == nil && len(r.Missing()) == 0 && r.first() == nil }

// Missing lists ops of Info().Ops that none of the cases that were tried could be compiled for.
func (r *Report) Missing() (ops []kernels.Op) {
	for _, op := range r.Info.Ops {
		tried, offered := false, false
		for _, f := range r.Findings {
			if f.Op == op {
				tried, offered = true, offered || f.Offered > 0
			}
		}
		if tried && !offered {
			ops = append(ops, op)
		}
	}
	return ops
}

// first is the first error of a case.
func (r *Report) first() error {
	for _, f := range r.Findings {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}

// Judge runs the suite. The error is one of opening the library, or the cause of the context's end; what has been
// found until then is in the report, which is nil when there is no library to speak of.
func (s Suite) Judge(ctx context.Context) (*Report, error) {
	if s.Threads == nil {
		s.Threads = []int{1, 2, 3}
	}
	j := &judgement{Suite: s, libs: make([]kernels.Library, len(s.Threads))}
	defer func() {
		for i := range j.libs {
			j.close(i)
		}
	}()
	for i := range j.libs {
		if err := j.open(i); err != nil {
			return nil, err
		}
	}
	j.Info = j.libs[0].Info()
	j.Report.Err = CheckInfo(j.Info)
	list := slices.DeleteFunc(Cases(), func(c Case) bool {
		return s.Ops != nil && !slices.Contains(s.Ops, c.Ops[0]) || s.Ariths != nil && !slices.Contains(s.Ariths, c.Arith)
	})
	for i, c := range list {
		if ctx.Err() != nil {
			return &j.Report, context.Cause(ctx)
		}
		if err := j.one(c); err != nil {
			return &j.Report, err
		}
		if s.Progress != nil {
			s.Progress(i+1, len(list))
		}
	}
	return &j.Report, nil
}

// judgement is a suite that runs.
type judgement struct {
	Suite
	Report
	libs   []kernels.Library // by Threads; nil: to be opened
	broken int               // of the last finding
}

func (j *judgement) open(i int) (err error) {
	j.libs[i], err = j.Open(kernels.SameThreads(j.Threads[i]))
	return err
}

// close gives a library back. What it says of its end is no matter here: a lost one has nothing good to say.
func (j *judgement) close(i int) {
	if j.libs[i] != nil {
		_ = j.libs[i].Close()
		j.libs[i] = nil
	}
}

// one judges a case with each number of threads.
func (j *judgement) one(c Case) error {
	f := j.finding(c)
	f.Cases++
	if j.broken >= maxBroken {
		f.LeftOut++
		return nil
	}
	truth, err := c.judge()
	if err != nil {
		return err
	}
	defer truth.close()
	var all Verdict
	for i := range j.libs {
		if j.libs[i] == nil {
			if err := j.open(i); err != nil {
				return fmt.Errorf("after %s: %w", c.Name, err)
			}
			j.Restarts++
		}
		v := truth.check(j.libs[i])
		all.Ways, all.Diff = all.Ways+v.Ways, max(all.Diff, v.Diff)
		if v.Err == nil {
			continue
		}
		if all.Err == nil {
			all.Err = fmt.Errorf("%d threads: %w", j.Threads[i], v.Err)
		}
		if errors.As(v.Err, new(brokenError)) {
			j.broken++
			j.close(i)
			break
		}
	}
	f.add(all)
	if all.Err != nil && j.Failed != nil {
		j.Failed(c, all)
	}
	return nil
}

// finding is the one that a case counts for: the last, since cases come in the order of findings.
func (j *judgement) finding(c Case) *Finding {
	if n := len(j.Findings); n == 0 || j.Findings[n-1].Op != c.Ops[0] || j.Findings[n-1].Arith != c.Arith {
		j.Findings = append(j.Findings, Finding{Op: c.Ops[0], Arith: c.Arith, Listed: slices.Contains(j.Info.Ops, c.Ops[0])})
		j.broken = 0
	}
	return &j.Findings[len(j.Findings)-1]
}

func (f *Finding) add(v Verdict) {
	f.Ways, f.Diff = f.Ways+v.Ways, max(f.Diff, v.Diff)
	if v.Ways > 0 || v.Err != nil {
		f.Offered++
	}
	if v.Err == nil {
		return
	}
	f.Failed++
	if f.Err == nil {
		f.Err = v.Err
	}
}
