package actors

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages"
	"troupe/stages/sched"
)

// What begins to compute something else only after its promotion is found by the batches that are verified. The
// suspects are all tokens that may be wrong, and the first token is right again once a request begins afterwards.
func TestFaultAfterPromotionIsRolledBack(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	for attempt := range 20 { // a sample may be due before any token differs
		if faultAfterPromotion(t, w, want, attempt) {
			return
		}
	}
	t.Error("not in one of 20 attempts has a token differed: the test is blind")
}

// faultAfterPromotion tells whether any token differed.
func faultAfterPromotion(t *testing.T, w stages.Weights, want []outcome, attempt int) bool {
	a := lend(t, fmt.Sprint("a", attempt))
	o := pipeline.options(t, w, kernels.Int8, "ref")
	o.VerifyFraction = 1. / 32
	events := newDiary(&o)
	e := start(t, o)
	stop := traffic(t, e, want)
	if err := swapTo(e, t, "attend="+a.name, 2); err != nil {
		t.Fatal(err)
	}
	stop()
	a.set(upset(kernels.Attend, 1))
	request := asks(t)[1]
	doubted, differ := 0, 0
	for len(events.all(StepRollback)) == 0 {
		s, err := e.Submit(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Collect(s.Events())
		suspects := e.Suspects()
		for i, ev := range all[:len(all)-1] {
			doubtful := slices.ContainsFunc(suspects, func(s Suspect) bool { return ev.Since <= s.To && ev.Generation >= s.From })
			if doubtful {
				doubted++
			}
			if ev.Token != want[1].tokens[i] {
				differ++
			}
			if ev.Token != want[1].tokens[i] && !doubtful && len(suspects) > 0 {
				t.Errorf("token %d of generations %d to %d is wrong and no suspect: %+v", i, ev.Since, ev.Generation, suspects)
			}
		}
	}
	if doubted == 0 {
		t.Error("no token was doubted")
	}
	promoted, rolled := events.all(StepPromote)[0], events.await(t, StepRollback, 1)
	suspects := e.Suspects()
	if len(suspects) != 1 || suspects[0].From != promoted.Generation || suspects[0].To != rolled.Generation-1 || suspects[0].Library != a.name ||
		!strings.HasPrefix(suspects[0].Reason, "attend layer 1 row ") || rolled.From != suspects[0].From || rolled.To != suspects[0].To {
		t.Errorf("suspects %+v, want generations %d to %d; rolled back %+v", suspects, promoted.Generation, rolled.Generation-1, rolled)
	}
	compare(t, serve(t, e, asks(t)), want)
	if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" {
		t.Errorf("status %+v, error %v, want ref", s, err)
	}
	return differ > 0
}

// A library that is found wrong is doubted wherever it has served, also before what served in between.
func TestSuspectsFromBefore(t *testing.T) {
	a := lend(t, "a")
	lend(t, "b")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	o.VerifyFraction = 1
	events := newDiary(&o)
	e := start(t, o)
	for _, to := range []string{"attend=plugin:a", "head=plugin:b", "ref", "expert=plugin:b", "attend=plugin:a"} {
		if err := swapTo(e, t, to, -1); err != nil {
			t.Fatal(err)
		}
	}
	a.set(upset(kernels.Attend, 1))
	serve(t, e, []sched.Request{simple(text(1, 8), 1)})
	rolled := events.await(t, StepRollback, 1)
	p := events.all(StepPromote)
	want := []Suspect{{From: p[0].Generation, To: p[2].Generation - 1}, {From: p[4].Generation, To: rolled.Generation - 1}}
	got := e.Suspects()
	same := func(x, y Suspect) bool { return x.From == y.From && x.To == y.To && x.Library == "plugin:a" }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("suspects %+v, want %+v", got, want)
	}
	if rolled.From != want[0].From || rolled.To != want[1].To {
		t.Errorf("rolled back %+v, want generations %d to %d", rolled, want[0].From, want[1].To)
	}
}

// What is found wrong on one device is left alone on all, even while the binder has no time for it.
func TestMismatchHoldsEverywhere(t *testing.T) {
	a, b := lend(t, "a"), lend(t, "b")
	o := pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	o.VerifyFraction = 1
	events := newDiary(&o)
	e := start(t, o)
	if err := swapTo(e, t, "attend=plugin:a", -1); err != nil {
		t.Fatal(err)
	}
	opening, open := make(chan struct{}), make(chan struct{})
	b.open(func() error { close(opening); <-open; return nil })
	done := make(chan error, 1)
	go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "head=plugin:b")}) }()
	<-opening
	var runs atomic.Int32
	lie := upset(kernels.Attend, 1)
	a.set(func(s kernels.Segment, f *kernels.Frame) error { runs.Add(1); return lie(s, f) })
	request := []sched.Request{simple(text(1, 8), 1)}
	serve(t, e, request)
	before := runs.Load()
	if len(e.Suspects()) != 1 || before == 0 {
		t.Fatalf("suspects %+v after %d runs, want one", e.Suspects(), before)
	}
	if serve(t, e, request); runs.Load() != before {
		t.Errorf("%d more runs of a library that was found wrong", runs.Load()-before)
	}
	close(open)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "plugin:a: attend layer 1") {
		t.Errorf("error %v of the other swap, want the mismatch", err)
	}
	events.await(t, StepRollback, 2)
	if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" {
		t.Errorf("status %+v, error %v, want ref", s, err)
	}
}
