package actors

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages"
	"troupe/stages/sched"
)

// A library that fails at any moment costs no request anything: the same calls are run by what was before it, it
// is opened again, and serves again, or is rolled back for good.
func TestErrorsAtRandomMoments(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	faults, restarts, rollbacks := 0, 0, 0
	for seed := range uint64(share(200)) {
		a := lend(t, "a")
		o := layout{stages: 1 + int(seed%3), devices: 1 + int(seed%2), threads: 1, spread: seed%2 == 1, batches: 2, rows: 6, sequences: 4}.options(t, w, kernels.Int8, "ref")
		o.MaxFaults, o.Backoff, o.VerifyFraction = 2+int(seed%3), time.Microsecond, 0.1
		bound := []string{"plugin:a", "expert=plugin:a", "attend=plugin:a,@2=plugin:a"}[seed%3]
		if seed%2 == 0 { // the same for what is bound at the start
			o.Binding = bindingOf(t, bound)
		}
		events := newDiary(&o)
		e, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		swapped := make(chan struct{})
		go func() {
			defer close(swapped)
			if seed%2 == 1 {
				_ = e.Swap(t.Context(), Change{Binding: bindingOf(t, bound), Shadow: 1})
			}
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			a.set(func(s kernels.Segment, f *kernels.Frame) error {
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(40) == 0 {
					return crash(s, f)
				}
				return nil
			})
		}()
		few := 1 + int(seed%4)
		compare(t, serve(t, e, asks(t)[few:few+3]), want[few:few+3])
		atHome(t, e)
		if err := stop(e); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		<-swapped
		faults, restarts, rollbacks = faults+len(events.all(StepFault)), restarts+len(events.all(StepRestart)), rollbacks+len(events.all(StepRollback))
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, events.events)
		}
	}
	t.Logf("%d faults, %d restarts, %d roll-backs", faults, restarts, rollbacks)
	if faults == 0 || restarts == 0 || rollbacks == 0 {
		t.Errorf("%d faults, %d restarts, %d roll-backs: want some of each", faults, restarts, rollbacks)
	}
}

// After as many faults as may be the earlier binding serves for good; before, the library comes back by itself.
func TestFaultsInNumbers(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	for _, bound := range []string{"at the start", "by a swap"} {
		t.Run(bound, func(t *testing.T) {
			a := lend(t, "a")
			o := pipeline.options(t, w, kernels.Int8, "ref,expert=plugin:a")
			if bound == "by a swap" {
				o.Binding = bindingOf(t, "ref")
			}
			o.Backoff = time.Millisecond
			events := newDiary(&o)
			e := start(t, o)
			stop := traffic(t, e, want)
			if bound == "by a swap" {
				if err := swapTo(e, t, "expert=plugin:a", 1); err != nil {
					t.Fatal(err)
				}
			}
			before := len(events.all(StepPromote))
			var calls atomic.Int32
			a.set(func(s kernels.Segment, f *kernels.Frame) error {
				if calls.Add(1) == 5 {
					return crash(s, f)
				}
				return nil
			})
			fault := events.await(t, StepFault, 1)
			if fault.Fault != "crash" || fault.Library != "plugin:a" || fault.Lost <= 0 {
				t.Errorf("fault %+v, want a crash of plugin:a, with the time lost", fault)
			}
			if again := events.await(t, StepPromote, before+1); again.Compared == 0 {
				t.Errorf("promoted again %+v, want a comparison", again)
			}
			a.set(crash)
			rolled := events.await(t, StepRollback, 1)
			if !strings.Contains(rolled.Reason, "3 faults") {
				t.Errorf("rolled back %+v, want after 3 faults", rolled)
			}
			s, err := e.Kernels(t.Context())
			stop()
			if err != nil || strings.Contains(s.Binding, "plugin") || s.Swap != nil {
				t.Errorf("status %+v, error %v: want nothing of the plugin", s, err)
			}
			if n := len(events.all(StepFault)); n < 3 { // more where several devices have met the same one
				t.Errorf("%d faults told, want 3 at least", n)
			}
		})
	}
}

// A swap that comes while a library recovers waits for that.
func TestSwapDuringRecovery(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	a := lend(t, "a")
	o := pipeline.options(t, w, kernels.Int8, "ref,expert=plugin:a")
	events := newDiary(&o)
	e := start(t, o)
	var dead atomic.Bool
	a.set(func(s kernels.Segment, f *kernels.Frame) error {
		if dead.Swap(true) {
			return nil
		}
		return crash(s, f)
	})
	serve(t, e, []sched.Request{simple(text(1, 8), 2)})
	events.await(t, StepFault, 1)
	stop := traffic(t, e, loopOutcomes(t, w, kernels.Int8))
	defer stop()
	second := make(chan error)
	go func() { second <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "head=cpu/generic")}) }()
	first := e.Swap(t.Context(), Change{Binding: bindingOf(t, "attend=cpu/generic")})
	if other := <-second; first != nil && other != nil || first != nil && !errors.Is(first, ErrBusy) || other != nil && !errors.Is(other, ErrBusy) {
		t.Errorf("swaps while a library recovers: %v and %v, want at most one to be refused, as busy", first, other)
	}
	again := events.all(StepPromote)
	if len(again) < 2 || again[0].Binding != "ref,expert=plugin:a" {
		t.Errorf("promotions %+v, want the library that recovers before the swap", again)
	}
}

// A roll-back while a library recovers gives that up, at whatever point it is, and a swap that waits for it, too.
func TestRollbackDuringRecovery(t *testing.T) {
	a := lend(t, "a")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref,expert=plugin:a")
	o.Backoff = time.Microsecond
	events := newDiary(&o)
	e := start(t, o)
	opening, open := make(chan struct{}), make(chan struct{})
	a.open(func() error { close(opening); <-open; return nil })
	a.set(crash)
	serve(t, e, []sched.Request{simple(text(1, 8), 2)})
	<-opening
	if err := e.Rollback(t.Context(), "it had its chance"); err != nil {
		t.Error(err)
	}
	close(open)
	if r := events.await(t, StepRollback, 1); !strings.Contains(r.Reason, "it had its chance") {
		t.Errorf("%+v, want the reason", r)
	}
	if s, err := e.Kernels(t.Context()); err != nil || s.Swap != nil || strings.Contains(s.Binding, "plugin") {
		t.Errorf("status %+v, error %v, want nothing lent", s, err)
	}

	o = plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref,expert=plugin:a")
	o.Backoff = time.Hour
	a.open(func() error { return nil })
	e = start(t, o)
	serve(t, e, []sched.Request{simple(text(1, 8), 2)})
	for s, err := e.Kernels(t.Context()); err == nil && s.Swap == nil; s, err = e.Kernels(t.Context()) {
		time.Sleep(time.Millisecond) // the fault has not been heard of: a swap would begin at once
	}
	done := make(chan error, 1)
	go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "head=cpu/generic")}) }()
	for waits := make(chan bool); ; {
		if err := e.binder.ask(t.Context(), func() { waits <- e.binder.waiting != nil }); err != nil {
			t.Fatal(err)
		}
		if <-waits {
			break
		}
	}
	if err := e.Rollback(t.Context(), "not now"); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("the swap that waited: error %v, want the reason", err)
	}
}

// A library that fails while another one is on trial ends the trial, and is not opened again before its time.
func TestFaultDuringTrial(t *testing.T) {
	a, b := lend(t, "a"), lend(t, "b")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref,expert=plugin:a")
	o.Backoff = time.Hour
	events := newDiary(&o)
	e := start(t, o)
	done := make(chan error, 1)
	go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "head=plugin:b"), Shadow: 1000}) }()
	events.await(t, StepShadow, 1)
	a.set(crash)
	serve(t, e, []sched.Request{simple(text(1, 8), 3)})
	if err := <-done; err == nil || !strings.Contains(err.Error(), "what serves has failed: plugin:a") {
		t.Errorf("error %v, want that of what serves", err)
	}
	s, err := e.Kernels(t.Context())
	for ; err == nil && s.Swap == nil && t.Context().Err() == nil; s, err = e.Kernels(t.Context()) {
		time.Sleep(time.Millisecond) // the swap has been answered, what was before is being compiled
	}
	if err != nil || strings.Contains(s.Binding, "plugin") || s.Swap == nil || s.Swap.Step != StepRestart {
		t.Errorf("status %+v, error %v, want that plugin:a waits", s, err)
	}
	if a.opened.Load() != 1 || b.opened.Load() != 1 {
		t.Errorf("opened %d and %d times, want once each", a.opened.Load(), b.opened.Load())
	}
}

// What was still found on trial while the promotion was prepared ends what was promoted.
func TestMismatchBehindPromotion(t *testing.T) {
	a := lend(t, "a")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	events := newDiary(&o)
	e := start(t, o)
	stop := traffic(t, e, nil)
	if err := swapTo(e, t, "expert=plugin:a", 1); err != nil {
		t.Fatal(err)
	}
	stop()
	trial, promoted := events.all(StepShadow)[0].Generation, events.all(StepPromote)[0].Generation
	for range 2 { // of two devices
		e.binder.hear(0, stages.Report{Library: a.name, Role: stages.Trial, Generation: trial, Difference: stages.Difference{What: "output"}})
	}
	rolled := events.await(t, StepRollback, 1)
	events.await(t, StepMismatch, 2)
	if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" || len(s.Suspects) != 1 || s.Suspects[0].From != promoted || s.Suspects[0].To != rolled.Generation-1 {
		t.Errorf("status %+v, error %v, want ref, and generations from %d to %d as suspects", s, err, promoted, rolled.Generation-1)
	}
}

// Once the engine has ended nothing is opened any more.
func TestFaultAfterTheEnd(t *testing.T) {
	a := lend(t, "a")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref,expert=plugin:a")
	o.Backoff = time.Microsecond
	e := start(t, o)
	opened := a.opened.Load()
	e.finish(ErrStopped)
	e.binder.hear(0, stages.Report{Library: a.name, Err: errBroken, Rescued: "ref"})
	for heard := false; !heard; { // behind it
		done := make(chan struct{})
		if err := e.binder.ask(t.Context(), func() { heard = len(e.binder.reports) == 0; close(done) }); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	seen := make(chan *recovery, 1)
	if err := e.binder.ask(t.Context(), func() { seen <- e.binder.recovery }); err != nil {
		t.Fatal(err)
	}
	if r := <-seen; r != nil || a.opened.Load() != opened {
		t.Errorf("opened %d times, then %d times, recovery %+v: want nothing after the end", opened, a.opened.Load(), r)
	}
}

// A library that fails behind the one that serves harms nobody; after as many faults as may be, nothing goes back to it.
func TestFaultsBehind(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	a := lend(t, "a")
	lend(t, "b")
	o := pipeline.options(t, w, kernels.Int8, "ref,expert=plugin:a")
	o.VerifyFraction = 1
	events := newDiary(&o)
	e := start(t, o)
	stop := traffic(t, e, loopOutcomes(t, w, kernels.Int8))
	if err := swapTo(e, t, "expert=plugin:b", 1); err != nil {
		t.Fatal(err)
	}
	a.set(crash)
	for {
		s, err := e.Kernels(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Binding != "ref,expert=plugin:b" {
			t.Fatalf("%q serves, want plugin:b to go on", s.Binding)
		}
		if !strings.Contains(s.Previous, "plugin") {
			break
		}
	}
	if n := len(events.all(StepFault)); n < 3 {
		t.Errorf("%d faults, want 3 at least", n)
	}
	stop()
	if err := e.Rollback(t.Context(), "test"); err != nil {
		t.Error(err)
	}
	if s, err := e.Kernels(t.Context()); err != nil || strings.Contains(s.Binding, "plugin") {
		t.Errorf("status %+v, error %v, want nothing lent", s, err)
	}
}

// How long a library is left alone has a bound.
func TestBackoff(t *testing.T) {
	b := &binder{options: &Options{Backoff: time.Millisecond}}
	for faults, want := range []time.Duration{1, 1, 2, 4, 8, 16, 32, 64, 64, 64} {
		if b.faults = faults; b.wait() != want*time.Millisecond {
			t.Errorf("%d faults: %v, want %v", faults, b.wait(), want*time.Millisecond)
		}
	}
}
