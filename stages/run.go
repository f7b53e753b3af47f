package stages

import (
	"errors"
	"fmt"

	"troupe/kernels"
)

// timedBatches is how many batches go by for one whose kernels are timed, while nothing is on trial.
const timedBatches = 16

// pass is a batch at a site.
type pass struct {
	program *Program
	batch   uint64
	rows    int  // what the calls compute
	timed   bool // read the clock
	turn    int  // part of what is on trial that is compared
	with    *company
}

// run takes a batch through the calls of a site, under its own generation; and through those of further experts whose
// turns come later, if its library computes them in the same call. others is nil for what is no expert.
func (s *Programs) run(at int, b *Batch, f *kernels.Frame, rows int, others *Experts) error {
	p := s.find(b.Generation)
	if p == nil {
		return fmt.Errorf("BUG: no program of generation %d on this device", b.Generation)
	}
	x := pass{program: p, batch: b.ID, rows: rows}
	x.timed = s.Clock != nil && (p.tally.Pieces > 0 || b.ID%timedBatches == 0)
	x.turn = p.turn(b.ID)
	seg := p.segments[at]
	if others != nil && len(seg) == 1 && seg[0].sociable(&x) {
		x.with = others.join(&seg[0], &x, b, f)
	}
	for i := range seg {
		if err := s.piece(&seg[i], &x, f); err != nil {
			return err
		}
	}
	return nil
}

// piece has a piece computed, and compared if that is due.
func (s *Programs) piece(pc *piece, x *pass, f *kernels.Frame) error {
	served, nanos, err := s.serve(pc, x, f)
	if err != nil {
		return err
	}
	switch p := x.program; {
	case p.over || p.tally.Failed:
	case pc.trial != nil:
		if pc.part == x.turn {
			s.try(pc, x, f, served, nanos)
		}
	case p.sampled(x.batch, pc.layer()) && len(pc.chain) > 1 && served == pc.chain[0] && !pc.chain[1].lib.failed:
		s.verify(pc, x, f)
	}
	if pc.tap != nil {
		c := &pc.calls[0]
		pc.tap(c.Layer, c.Op, c.Out, f)
	}
	return nil
}

// failure is that of one of a chain.
type failure struct {
	place int
	err   error
}

// serve runs the first of the chain that can. One that has failed is left alone as long as there is another.
func (s *Programs) serve(pc *piece, x *pass, f *kernels.Frame) (*unit, int64, error) {
	var failed []failure
	timed := x.timed || len(pc.chain) > 1
	first := s.now(timed)
	begin := first
	for i, u := range pc.chain {
		if u.lib.failed && i < len(pc.chain)-1 {
			continue
		}
		err := u.run(f, x.with)
		if err != nil && x.with != nil {
			x.with = nil // the others have turns of their own
			if gone := (*kernels.Fault)(nil); !errors.As(err, &gone) {
				err = u.run(f, nil) // the error may be that of another one
			}
		}
		if err == nil {
			end := s.now(timed)
			u.lib.count.launch(x, end-begin)
			x.with.done(x, u.lib)
			if failed != nil {
				s.report(pc, x, failed, u, end-first)
			}
			return u, end - begin, nil
		}
		if errors.Is(err, errUnreadable) {
			return nil, 0, err
		}
		failed, begin = append(failed, failure{i, err}), s.now(timed)
	}
	s.report(pc, x, failed, nil, 0)
	err := failed[0].err
	for _, more := range failed[1:] {
		err = fmt.Errorf("%w; then %s: %w", err, pc.chain[more.place].lib.name, more.err)
	}
	return nil, 0, err
}

// report tells of those of a chain that failed, and they are left alone from now on. When nobody could compute the
// calls it may be the batch: only a library that says itself that it is gone is reported then.
func (s *Programs) report(pc *piece, x *pass, failed []failure, by *unit, lost int64) {
	for _, fail := range failed {
		lib := pc.chain[fail.place].lib
		r := Report{Library: lib.name, Role: roleOf(fail.place), Generation: x.program.Generation, Batch: x.batch,
			Err: fail.err, Lost: lost, library: lib}
		if by != nil {
			r.Rescued = by.lib.name
		}
		var gone *kernels.Fault
		if by == nil && !errors.As(fail.err, &gone) {
			continue
		}
		lib.failed = true
		s.tell(r)
	}
}

func roleOf(place int) Role {
	if place == 0 {
		return Serving
	}
	return Standby
}

func (s *Programs) tell(r Report) {
	if s.Tell != nil {
		s.Tell(r)
	}
}

func (s *Programs) now(wanted bool) int64 {
	if !wanted || s.Clock == nil {
		return 0
	}
	return s.Clock()
}

func (c *Counters) launch(x *pass, nanos int64) {
	c.Launches++
	c.Rows += uint64(x.rows)
	if x.timed {
		c.Timed++
		c.Nanos += nanos
	}
}

var errUnreadable = errors.New("the weights cannot be read: a file of the checkpoint has been cut short, or its disk failed: restore the file and start again")

// A page of the weights that cannot be read any more (the file was cut short, its disk failed) is an
// error where the goroutine has asked for panics on faults, as the lanes of devices do.
func (u *unit) run(f *kernels.Frame, with *company) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = errUnreadable
		}
	}()
	if with != nil {
		return u.lib.several.RunSeveral(with.kernels, with.frames)
	}
	return u.kernel.Run(f)
}
