package stages

import (
	"errors"
	"fmt"
	"strings"

	"troupe/kernels"
)

var errLarge = errors.New("BUG: a batch larger than Libraries.Limits: nothing can run beside it")

// try has the library on trial run beside the one that has served, and compares. What served stays, whatever
// the trial does.
func (s *Programs) try(pc *piece, x *pass, f *kernels.Frame, served *unit, nanos int64) {
	sh, r := x.program.shadow, Report{Role: Trial, Generation: x.program.Generation, Batch: x.batch}
	took, err := s.beside(pc, f, sh, pc.trial)
	if err != nil {
		r.Library, r.library, r.Err = pc.trial.lib.name, pc.trial.lib, err
		s.tell(r)
		x.program.tally.Failed = true
		return
	}
	cacheRows(pc, f, store, sh.served)
	x.program.tally.Old += nanos
	x.program.tally.New += took
	v := verdict{got: &sh.frame, want: f, gotCache: sh.beside, wantCache: sh.served}
	x.program.tally.Failed = !s.judge(pc, x, v, pc.trial.lib, served.lib, r)
}

// verify has the second of a chain run beside the first. If they differ, the batch goes on with what the second
// has computed, and the first is left alone.
func (s *Programs) verify(pc *piece, x *pass, f *kernels.Frame) {
	sh, first, second := x.program.shadow, pc.chain[0].lib, pc.chain[1].lib
	r := Report{Role: Standby, Generation: x.program.Generation, Batch: x.batch}
	if _, err := s.beside(pc, f, sh, pc.chain[1]); err != nil {
		second.failed = true
		r.Library, r.library, r.Err = second.name, second, err
		s.tell(r)
		return
	}
	v := verdict{got: f, want: &sh.frame, gotCache: sh.served, wantCache: sh.beside}
	r.Role, r.Rescued = Serving, second.name
	if s.judge(pc, x, v, first, second, r) {
		cacheRows(pc, f, store, sh.served)
		return
	}
	first.failed = true
	x.program.tally.Failed = true
	sh.give(pc, f)
}

// beside runs a library on what the one that serves has read, into the shadow. Keys and values in the cache are
// then its own, or if it fails those that were there; both are in the shadow.
func (s *Programs) beside(pc *piece, f *kernels.Frame, sh *shadow, u *unit) (nanos int64, err error) {
	if !sh.prepare(pc, f) {
		return 0, errLarge
	}
	sh.served = cacheRows(pc, f, load, sh.served)
	cacheRows(pc, f, blank, nil)
	begin := s.now(true)
	if err := u.attempt(&sh.frame); err != nil {
		cacheRows(pc, f, store, sh.served)
		return 0, err
	}
	nanos = s.now(true) - begin
	u.lib.count.Beside++
	sh.beside = cacheRows(pc, f, load, sh.beside)
	return nanos, nil
}

// attempt runs kernels whose outputs nobody needs: a panic of theirs is an error, so that no part dies of it.
func (u *unit) attempt(f *kernels.Frame) (err error) {
	defer func() {
		if r := recover(); r != nil {
			what, _, _ := strings.Cut(fmt.Sprint(r), "\n")
			err = fmt.Errorf("BUG: panic: %s: please report it", what)
		}
	}()
	return u.run(f, nil)
}

// judge compares what lib has computed with what other has, counts, and reports lib if it is not what it should be.
func (s *Programs) judge(pc *piece, x *pass, v verdict, lib, other *library, r Report) bool {
	v.exact = lib.promise == kernels.Identical && other.promise == kernels.Identical
	d, ok := x.program.shadow.compare(pc, v)
	x.program.note(pc, v.got, d)
	lib.count.Comparisons++
	if d.Relative > lib.count.Worst.Relative {
		lib.count.Worst = d
	}
	if !ok {
		r.Library, r.library, r.Difference = lib.name, lib, d
		s.tell(r)
	}
	return ok
}

// note counts a comparison; ops without rows, as a head without draws, have been compared with nothing.
func (p *Program) note(pc *piece, f *kernels.Frame, d Difference) {
	t := &p.tally
	t.Comparisons++
	for i := range pc.calls {
		if c := &pc.calls[i]; len(f.Bufs[c.Out[0]]) > 0 {
			t.Compared[c.Op]++
		}
	}
	if d.Relative > t.Worst.Relative {
		t.Worst = d
	}
	if pc.expert < 0 || pc.trial == nil {
		return
	}
	if p.seen == nil {
		p.seen = make([]bool, len(p.segments))
	}
	if !p.seen[pc.site] {
		p.seen[pc.site] = true
		t.ExpertsSeen++
	}
}
