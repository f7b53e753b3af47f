package actors

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"troupe/kernels"
	"troupe/stages"
)

// trial is a binding that is to serve, while its libraries run beside those that do.
type trial struct {
	asked     string // as it was asked for
	want      kernels.Binding
	batches   int // that have to come home before it serves; below 0: none
	experts   int // on trial
	libraries []string
	opening   bool       // its libraries are being opened and compiled
	withdrawn error      // why it is not to be, said while it was opening
	bound     bool       // batches run so
	done      chan error // of a swap; nil: of a library that recovers
}

// answer tells who has asked for the swap how it ended, once.
func (t *trial) answer(err error) {
	select {
	case t.done <- err:
	default: // nobody has asked, or the answer is there
	}
}

// request is a swap that has not begun.
type request struct {
	change Change
	done   chan error
}

// swap begins one. While a library recovers one may wait.
func (b *binder) swap(c Change, done chan error) {
	switch {
	case b.engine.over():
		done <- b.engine.reason
	case b.waiting != nil || b.trial != nil && b.recovery == nil:
		done <- ErrBusy
	case b.recovery != nil:
		b.waiting = &request{c, done}
	default:
		b.trial = &trial{asked: c.Binding.String(), want: b.serve.With(c.Binding), batches: c.Shadow, done: done}
		if err := b.start(b.trial); err != nil {
			b.fail(fmt.Errorf("actors: swap to %s: %w", b.trial.asked, err))
		}
	}
}

// resume begins the swap that has waited.
func (b *binder) resume() {
	if w := b.waiting; w != nil && b.recovery == nil && b.trial == nil {
		b.waiting = nil
		b.swap(w.change, w.done)
	}
}

// withdraw ends swaps that have not begun to run, a certain one or all (nil): the one that waits, and a trial whose
// libraries are being opened. Nobody waits for these; they are closed once they are open. It reports whether there
// was nothing else to end.
func (b *binder) withdraw(done chan error, why error) bool {
	if w := b.waiting; w != nil && (done == nil || w.done == done) {
		b.waiting = nil
		w.done <- fmt.Errorf("actors: swap to %s: %w", w.change.Binding, why)
		if done != nil {
			return true
		}
	}
	t := b.trial
	if t == nil || !t.opening || done != nil && t.done != done {
		return false
	}
	if t.withdrawn == nil {
		t.withdrawn = why
		t.answer(fmt.Errorf("actors: swap to %s: %w", t.asked, why))
	}
	return true
}

// ended is withdraw from another goroutine.
func (b *binder) ended(ctx context.Context, done chan error, why error) (bool, error) {
	ended := make(chan bool, 1)
	if err := b.urge(ctx, func() { ended <- b.withdraw(done, why) }); err != nil {
		return false, err
	}
	return <-ended, nil
}

// cancel ends a swap that runs and whose caller does not want it any more, if it is not decided yet.
func (b *binder) cancel(done chan error, why error) {
	if b.trial != nil && b.trial.done == done {
		b.fail(fmt.Errorf("actors: swap to %s: %w", b.trial.asked, why))
	}
}

// start compiles a trial and has it run beside what serves.
func (b *binder) start(t *trial) error {
	t.opening = true
	g, err := b.compile(stages.Bindings{Serve: b.serve, Back: b.back, Trial: &t.want, Batches: t.batches})
	t.opening = false
	if err != nil {
		return cmp.Or(t.withdrawn, err)
	}
	if t.withdrawn != nil {
		b.release(g)
		return t.withdrawn
	}
	b.cool(t.asked)
	pieces := 0
	for _, p := range g.programs {
		if p == nil {
			continue
		}
		n, experts, libraries := p.Trials()
		pieces, t.experts = pieces+n, t.experts+experts
		for _, name := range libraries {
			if !slices.Contains(t.libraries, name) {
				t.libraries = append(t.libraries, name)
			}
		}
	}
	if pieces == 0 {
		b.release(g)
		return fmt.Errorf("nothing changes: the same libraries serve already")
	}
	step := StepCompile
	if t.done == nil {
		step = StepRestart
	}
	b.tell(KernelEvent{Step: step, Generation: g.number, Binding: t.asked, ExpertsAll: t.experts})
	if t.batches < 0 {
		defer b.release(g)
		return b.promote(stages.Tally{}, 0)
	}
	b.bind(g, b.serve)
	t.bound = true
	b.ledger.watch(t.batches)
	waits := ""
	if b.ledger.idle() {
		waits = "no request runs: it waits for batches"
	}
	b.tell(KernelEvent{Step: StepShadow, Binding: t.asked, ExpertsAll: t.experts, Reason: waits})
	return nil
}

// look is called when as many batches have come home as were waited for, or the last one of an old generation.
func (b *binder) look() {
	home := b.ledger.home()
	switch t := b.trial; {
	case t != nil && home >= t.batches:
		tally := b.tally()
		if tally.Failed || !tally.Covered() { // its report is on the way; an op has not been met yet
			b.ledger.watch(home + 1)
			return
		}
		b.tell(b.shadowed(KernelEvent{Step: StepShadow}, tally, home))
		if err := b.promote(tally, home); err != nil {
			b.fail(fmt.Errorf("actors: swap to %s: %w", t.asked, err))
		}
	case t == nil && b.next > 0 && home >= b.next:
		b.verified(home)
	}
}

// shadowed fills in what comparing has shown.
func (b *binder) shadowed(e KernelEvent, t stages.Tally, batches int) KernelEvent {
	e.Binding = b.trial.asked
	e.Batches, e.Compared, e.Experts, e.ExpertsAll = batches, t.Comparisons, t.ExpertsSeen, t.Experts
	e.Worst, e.OldNanos, e.NewNanos = t.Worst, t.Old, t.New
	return e
}

// promote has the trial serve. What has served stays behind it.
func (b *binder) promote(tally stages.Tally, batches int) error {
	t, old, tried := b.trial, b.serve, b.current
	if err := b.begin(stages.Bindings{Serve: t.want, Back: &old, Verify: b.options.VerifyFraction}); err != nil {
		return err
	}
	if t.batches < 0 {
		tried = 0
	}
	b.tell(b.shadowed(KernelEvent{Step: StepPromote}, tally, batches))
	b.serve, b.back, b.since, b.trial = t.want, &old, b.current, nil
	b.promoted = promoted{binding: t.asked, libraries: t.libraries, trial: tried}
	b.promoted.launches, b.promoted.nanos, b.promoted.total = b.spent()
	b.follow()
	if t.done == nil {
		b.recovery.timer.Stop()
		b.recovery = nil
		return nil
	}
	b.faults, b.standby = 0, 0
	t.answer(nil)
	return nil
}

// fail ends a swap that has not been promoted. What has served goes on in a generation of its own.
func (b *binder) fail(why error) { b.end(why, b.again) }

// end is fail with another way to get out of the generation of the trial.
func (b *binder) end(why error, leave func()) {
	t := b.trial
	e := KernelEvent{Step: StepRollback, Binding: t.asked, Reason: why.Error()}
	if t.bound {
		e = b.shadowed(e, b.tally(), b.ledger.home())
		leave()
	}
	b.trial = nil
	b.tell(e)
	t.answer(why)
}

// again binds a generation without a trial.
func (b *binder) again() {
	if err := b.begin(stages.Bindings{Serve: b.serve, Back: b.back, Verify: b.options.VerifyFraction}); err != nil {
		b.stuck(err)
		return
	}
	b.follow()
}

// follow has the figures of what was promoted told from now on, if it still serves.
func (b *binder) follow() {
	if b.promoted.libraries != nil {
		b.next = firstLook
		b.ledger.watch(b.next)
	}
}

// firstLook is after how many batches of a promoted binding its figures are told.
const firstLook = 64

// promoted is what was promoted last, with the counters of that moment; nothing when it does not serve any more.
type promoted struct {
	binding      string
	libraries    []string
	trial        uint64 // generation in which they were on trial; 0: none
	launches     uint64
	nanos, total int64
}

// verified tells how the promoted binding does.
func (b *binder) verified(home int) {
	t := b.tally()
	launches, nanos, total := b.spent()
	e := KernelEvent{Step: StepVerify, Binding: b.promoted.binding, Batches: home, Compared: t.Comparisons, Worst: t.Worst,
		Launches: launches - b.promoted.launches}
	if total -= b.promoted.total; total > 0 {
		e.Share = float64(nanos-b.promoted.nanos) / float64(total)
	}
	b.tell(e)
	b.next *= 4
	b.ledger.watch(b.next)
}

// spent adds up what the promoted libraries have done, and the time of all.
func (b *binder) spent() (launches uint64, nanos, total int64) {
	for _, c := range b.counters() {
		total += c.Nanos
		if slices.Contains(b.promoted.libraries, c.Library) {
			launches, nanos = launches+c.Launches, nanos+c.Nanos
		}
	}
	return launches, nanos, total
}
