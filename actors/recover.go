package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"troupe/kernels"
	"troupe/stages"
)

// recovery is a binding that has failed and is to serve again.
type recovery struct {
	target kernels.Binding
	asked  string
	timer  *time.Timer
}

// judge decides what a report from a lane leads to.
func (b *binder) judge(r report) {
	if b.engine.over() {
		return
	}
	for i, room := range b.engine.rooms.all() {
		switch {
		case room == nil:
		case i == r.room:
			room.libs.GiveUp(r.Report)
		case r.Wrong():
			room.libs.Distrust(r.Library)
		}
	}
	b.announce(r)
	current := r.Generation >= b.since
	switch {
	case r.Role == stages.Trial && r.Generation == b.promoted.trial && r.Generation > 0 && r.Err == nil:
		b.suspects.add(r.Report) // it serves meanwhile
		b.goBack(reasonOf(r.Report).Error(), b.suspects.first(r.Library))
	case r.Role == stages.Trial:
		if b.trial == nil || !b.trial.bound || r.Generation != b.current {
			return // it has been taken back meanwhile
		}
		if b.trial.done == nil {
			b.relapse(reasonOf(r.Report))
			return
		}
		b.fail(fmt.Errorf("actors: swap to %s: rolled back: %w", b.trial.asked, reasonOf(r.Report)))
	case r.Wrong() && current:
		b.goBack(reasonOf(r.Report).Error(), b.suspects.first(r.Library))
	case r.Role == stages.Serving && current:
		b.fault(r)
	case r.Err != nil && b.uses(r.room, r.Library):
		b.refresh(r)
	}
}

// uses tells whether a room's current program has a library.
func (b *binder) uses(room int, library string) bool {
	if len(b.live) == 0 {
		return false
	}
	p := b.live[len(b.live)-1].of(room)
	return p != nil && p.Uses(library)
}

func reasonOf(r stages.Report) error {
	if r.Err != nil {
		return fmt.Errorf("%s: %w", r.Library, r.Err)
	}
	return fmt.Errorf("%s: %v", r.Library, r.Difference)
}

// announce tells what a report says.
func (b *binder) announce(r report) {
	e := KernelEvent{Step: StepMismatch, Generation: r.Generation, Library: r.Library, Binding: b.serve.String(), Worst: r.Difference,
		Reason: reasonOf(r.Report).Error()}
	if b.trial != nil && r.Role == stages.Trial {
		e.Binding = b.trial.asked
	}
	if r.Wrong() {
		e.From, e.To = b.suspects.first(r.Library), b.current
	}
	if r.Err != nil {
		b.record(r.Library).faults++
		e.Step, e.Fault, e.Lost = StepFault, "error", time.Duration(r.Lost)
		var f *kernels.Fault
		if errors.As(r.Err, &f) {
			e.Fault = f.Kind.String()
		}
	}
	b.tell(e)
}

// fault has what was before the failed library serve at once, and the library come back later.
func (b *binder) fault(r report) {
	why := reasonOf(r.Report)
	if b.back == nil {
		return // what is built in behind a lent one computes
	}
	b.interrupt(fmt.Errorf("what serves has failed: %w", why))
	target := b.serve
	b.faults++
	b.step(*b.back)
	b.recovery = &recovery{target: target, asked: target.String(), timer: time.NewTimer(b.wait())}
	b.enough(why)
}

// enough ends the attempts to bring a library back after as many faults as may be.
func (b *binder) enough(why error) bool {
	if b.faults < b.options.MaxFaults {
		return false
	}
	b.giveUp(fmt.Sprintf("%d faults, no more are let pass: the last one: %v", b.faults, why))
	return true
}

// wait is how long a library that failed is left alone: no longer than 64 times the first pause.
func (b *binder) wait() time.Duration { return b.options.Backoff << min(max(b.faults-1, 0), 6) }

// step has an earlier binding serve.
func (b *binder) step(to kernels.Binding) {
	back := b.behind(to)
	err := b.begin(stages.Bindings{Serve: to, Back: back, Verify: b.options.VerifyFraction})
	if err != nil && back != nil {
		b.stuck(err)
		to, back = *back, nil
		err = b.begin(stages.Bindings{Serve: to})
	}
	if err != nil {
		b.stuck(err) // the lanes leave alone who failed
		return
	}
	b.serve, b.back, b.since, b.promoted = to, back, b.current, promoted{}
}

// stuck says that a generation could not be compiled, although all of it has run before.
func (b *binder) stuck(err error) {
	b.engine.log.Error("no new generation: libraries that failed are left alone, what is behind them computes", slog.Any("error", err))
}

// interrupt ends whatever is under way, before another binding serves.
func (b *binder) interrupt(why error) {
	step := func() {} // comes next
	switch t := b.trial; {
	case b.recovery != nil:
		b.forsake(why.Error(), step)
	case t != nil:
		b.end(fmt.Errorf("actors: swap to %s: rolled back: %w", t.asked, why), step)
	}
}

// giveUp ends the attempts to bring a library back.
func (b *binder) giveUp(reason string) { b.forsake(reason, b.again) }

// forsake is giveUp with another way to get out of the generation of a trial.
func (b *binder) forsake(reason string, leave func()) {
	if b.trial != nil && b.trial.bound {
		leave()
	}
	asked := b.recovery.asked
	b.recovery.timer.Stop()
	b.trial, b.recovery, b.faults, b.standby = nil, nil, 0, 0
	b.tell(KernelEvent{Step: StepRollback, Binding: asked, Reason: reason})
}

// goBack has the binding before the last promotion serve, for good. What has served did so from a generation on.
func (b *binder) goBack(reason string, from uint64) {
	if b.back == nil {
		return
	}
	b.interrupt(errors.New(reason))
	gone, last := b.serve.String(), b.current
	b.step(*b.back)
	b.tell(KernelEvent{Step: StepRollback, Binding: gone, From: from, To: last, Reason: reason})
	b.faults, b.standby = 0, 0
}

// retry opens a library again that has failed, for a shadow of one batch.
func (b *binder) retry() {
	r := b.recovery
	b.trial = &trial{asked: r.asked, want: r.target, batches: 1}
	if err := b.start(b.trial); err != nil {
		if b.trial.withdrawn != nil {
			b.giveUp(err.Error())
			return
		}
		b.relapse(err)
		return
	}
	for _, name := range b.trial.libraries {
		b.record(name).restarts++
	}
}

// relapse is a library that has failed again before it served.
func (b *binder) relapse(why error) {
	if b.trial.bound {
		b.again()
	}
	b.trial = nil
	if b.faults++; !b.enough(why) {
		b.recovery.timer.Reset(b.wait())
	}
}

// refresh opens a library again that is behind the one that serves. After as many faults as may be there is
// nothing behind any more, but what is built in behind a lent one.
func (b *binder) refresh(r report) {
	if r.Role == stages.Standby {
		b.standby++
	}
	if b.standby >= b.options.MaxFaults && b.back != nil {
		b.tell(KernelEvent{Step: StepFault, Library: r.Library, Binding: b.back.String(), Fault: "lost",
			Reason: "it has failed too often: nothing is left to roll back to but what is built in"})
		b.back = b.behind(b.serve)
	}
	if b.trial == nil {
		b.again()
	}
}

// rollback is asked for from outside.
func (b *binder) rollback(reason string) error {
	switch t := b.trial; {
	case b.engine.over():
		return b.engine.reason
	case t != nil && t.done != nil:
		b.fail(fmt.Errorf("actors: swap to %s: rolled back: %s", t.asked, reason))
	case b.recovery != nil:
		b.giveUp(reason)
	case b.back == nil:
		return fmt.Errorf("actors: roll back: %s serves, and nothing has before it", nameOf(b.serve))
	default:
		b.goBack(reason, b.suspects.from())
	}
	return nil
}

func nameOf(k kernels.Binding) string {
	if s := k.String(); s != "" {
		return s
	}
	return "the best library for everything"
}
