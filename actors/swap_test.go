package actors

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/cpu"
	"troupe/stages/sched"
)

// Through swaps to other libraries and back, while requests run, the bits stay the same, however the model is
// arranged; every op is compared before it is promoted.
func TestSwapLeavesTheBitsAlone(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	rng := rand.New(rand.NewPCG(6, 6))
	for _, l := range append(sampleLayouts(rng, share(8)), plain, pipeline) {
		t.Run(l.String(), func(t *testing.T) {
			lend(t, "a")
			o := l.options(t, w, kernels.Int8, "ref")
			if o.VerifyFraction = 0.25; l.rows < 64 {
				o.Sched.Sequences = max(o.Sched.Sequences, 3)
			}
			events := newDiary(&o)
			e := start(t, o)
			stop := traffic(t, e, want)
			for i, to := range []string{"expert=plugin:a", "cpu/generic", "@1=plugin:a", "ref"} {
				if err := swapTo(e, t, to, 1+i); err != nil {
					t.Errorf("swap to %s: %v", to, err)
				}
			}
			stop()
			promoted := events.all(StepPromote)
			if len(promoted) != 4 || len(events.all(StepFault))+len(events.all(StepMismatch))+len(events.all(StepRollback)) > 0 {
				t.Fatalf("events %+v, want four promotions and nothing else", events.events)
			}
			for i, p := range promoted {
				if p.Batches < 1+i || p.Compared == 0 || p.Worst.Relative != 0 || p.OldNanos <= 0 || p.NewNanos <= 0 {
					t.Errorf("promotion %d: %+v: want that as many batches were compared, with times", i, p)
				}
			}
			atHome(t, e)
		})
	}
}

// A wrong sign in one layer is found while it does no harm, and is named.
func TestWrongSignIsCaughtInShadow(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	for _, tt := range []struct {
		op   kernels.Op
		want string
	}{
		{kernels.Attend, "plugin:a: attend layer 1 row 0 element 0: got "},
		{kernels.Head, "plugin:a: head row "},
		{kernels.Expert, "plugin:a: expert layer 1 expert "},
	} {
		t.Run(tt.op.String(), func(t *testing.T) {
			layer := 1
			if tt.op == kernels.Head {
				layer = -1
			}
			lend(t, "a").set(wrong(tt.op, layer))
			o := pipeline.options(t, w, kernels.Int8, "ref")
			events := newDiary(&o)
			e := start(t, o)
			stop := traffic(t, e, want)
			err := swapTo(e, t, tt.op.String()+"=plugin:a", 50)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			stop()
			rolled := events.await(t, StepRollback, 1)
			if m := events.all(StepMismatch); len(m) == 0 || m[0].Worst.Op != tt.op || m[0].Worst.Layer != layer || m[0].Library != "plugin:a" {
				t.Errorf("mismatches %+v, want of %v in layer %d", m, tt.op, layer)
			}
			if len(events.all(StepPromote)) > 0 || !strings.Contains(rolled.Reason, tt.want) {
				t.Errorf("rolled back %+v, promotions %+v", rolled, events.all(StepPromote))
			}
			if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" || s.Swap != nil || len(s.Suspects) > 0 {
				t.Errorf("status %+v, error %v: want ref, and no suspects", s, err)
			}
		})
	}
}

// What begins to compute something else only after its promotion is found by the batches that are verified. The
// suspects are all tokens that may be wrong, and the first token is right again once a request begins afterwards.
func TestFaultAfterPromotionIsRolledBack(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	a := lend(t, "a")
	o := pipeline.options(t, w, kernels.Int8, "ref")
	o.VerifyFraction = 1. / 32
	events := newDiary(&o)
	e := start(t, o)
	stop := traffic(t, e, want)
	if err := swapTo(e, t, "attend=plugin:a", 2); err != nil {
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
	if doubted == 0 || differ == 0 {
		t.Errorf("%d tokens doubted, %d differ: the test is blind", doubted, differ)
	}
	promoted, rolled := events.all(StepPromote)[0], events.await(t, StepRollback, 1)
	suspects := e.Suspects()
	if len(suspects) != 1 || suspects[0].From != promoted.Generation || suspects[0].To != rolled.Generation-1 || suspects[0].Library != "plugin:a" ||
		!strings.HasPrefix(suspects[0].Reason, "attend layer 1 row ") || rolled.From != suspects[0].From || rolled.To != suspects[0].To {
		t.Errorf("suspects %+v, want generations %d to %d; rolled back %+v", suspects, promoted.Generation, rolled.Generation-1, rolled)
	}
	compare(t, serve(t, e, asks(t)), want)
	if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" {
		t.Errorf("status %+v, error %v, want ref", s, err)
	}
}

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

// When nobody can compute a batch, its requests fail and say why, and the engine goes on.
func TestNobodyCanCompute(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	lend(t, "a").set(func(s kernels.Segment, f *kernels.Frame) error {
		if has(s, kernels.Head) {
			return crash(s, f)
		}
		return nil
	})
	e := start(t, pipeline.options(t, w, kernels.Int8, "hooked"))
	if err := swapTo(e, t, "head=plugin:a", -1); err != nil {
		t.Fatal(err)
	}
	// The best that is built in would be behind a lent library as well: take its turn by NaN-free means, a batch
	// that every library refuses.
	setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
		if has(s, kernels.RMSNorm) && s.Calls[0].Layer == 1 {
			return errBroken
		}
		return nil
	})
	got := serve(t, e, []sched.Request{simple(text(1, 8), 6)})[0]
	if got.finish != "failed" || !errors.Is(got.err, errBroken) {
		t.Errorf("finish %q, error %v, want failed", got.finish, got.err)
	}
	hook.Store(nil)
	if got := serve(t, e, []sched.Request{simple(text(1, 8), 6)})[0]; got.finish != "length" {
		t.Errorf("finish %q, error %v, want length", got.finish, got.err)
	}
	atHome(t, e)
}

// While libraries open the stream goes on.
func TestOpeningHoldsNobodyUp(t *testing.T) {
	a := lend(t, "a")
	opening, open := make(chan struct{}), make(chan struct{})
	a.open(func() error { close(opening); <-open; return nil })
	e := start(t, plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	done := make(chan error, 1)
	go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "plugin:a"), Shadow: 1}) }()
	<-opening
	for range 3 {
		if got := serve(t, e, []sched.Request{simple(text(1, 8), 6)}); got[0].finish != "length" {
			t.Errorf("finish %q, error %v", got[0].finish, got[0].err)
		}
	}
	close(open)
	for waiting := true; waiting; {
		serve(t, e, []sched.Request{simple(text(1, 8), 2)})
		select {
		case err := <-done:
			if waiting = false; err != nil {
				t.Error(err)
			}
		default:
		}
	}
}

func TestSwapsThatAreNotDone(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	setUp := func(t *testing.T, library string) (*Engine, *lender, *diary) {
		a := lend(t, "a")
		o := pipeline.options(t, w, kernels.Int8, library)
		events := newDiary(&o)
		return start(t, o), a, events
	}
	t.Run("cancelled", func(t *testing.T) {
		e, a, events := setUp(t, "ref")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Swap(ctx, Change{Binding: bindingOf(t, "plugin:a")}) }()
		if s := events.await(t, StepShadow, 1); !strings.Contains(s.Reason, "no request runs") {
			t.Errorf("shadow %+v, want that it says what it waits for", s)
		}
		if err := swapTo(e, t, "expert=plugin:a", 1); !errors.Is(err, ErrBusy) {
			t.Errorf("a second one: error %v, want ErrBusy", err)
		}
		if s, err := e.Kernels(t.Context()); err != nil || s.Swap == nil || s.Swap.Step != StepShadow || s.Swap.Wanted != 4 || s.Swap.Batches != 0 {
			t.Errorf("status %+v, %+v, error %v, want a shadow of 0 of 4 batches", s, s.Swap, err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
		for a.closed.Load() != a.opened.Load() { // behind the reply
			runtime.Gosched()
			if _, err := e.Kernels(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("rolled back", func(t *testing.T) {
		e, _, events := setUp(t, "ref")
		done := make(chan error, 1)
		go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "plugin:a")}) }()
		events.await(t, StepShadow, 1)
		if err := e.Rollback(t.Context(), "I want it so"); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "I want it so") {
			t.Errorf("error %v, want the reason", err)
		}
	})
	t.Run("rolled back later", func(t *testing.T) {
		e, _, events := setUp(t, "ref")
		if err := e.Rollback(t.Context(), "why not"); err == nil || !strings.Contains(err.Error(), "nothing has before it") {
			t.Errorf("error %v, want that there is nothing", err)
		}
		if err := swapTo(e, t, "plugin:a", -1); err != nil {
			t.Fatal(err)
		}
		if err := e.Rollback(t.Context(), "too slow"); err != nil {
			t.Error(err)
		}
		if r := events.await(t, StepRollback, 1); r.Reason != "too slow" || r.Binding != "plugin:a" {
			t.Errorf("%+v", r)
		}
		if s, err := e.Kernels(t.Context()); err != nil || s.Binding != "ref" {
			t.Errorf("status %+v, error %v", s, err)
		}
	})
	t.Run("nothing changes", func(t *testing.T) {
		e, _, _ := setUp(t, "ref")
		if err := swapTo(e, t, "expert=ref", 1); err == nil || !strings.Contains(err.Error(), "nothing changes") {
			t.Errorf("error %v, want that nothing changes", err)
		}
	})
	t.Run("cannot be opened", func(t *testing.T) {
		e, a, events := setUp(t, "ref")
		a.open(func() error { return errBroken })
		if err := swapTo(e, t, "expert=plugin:a", 1); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "expert=plugin:a") {
			t.Errorf("error %v, want that of opening", err)
		}
		events.await(t, StepRollback, 1)
	})
	t.Run("fails on trial", func(t *testing.T) {
		e, a, _ := setUp(t, "ref")
		a.set(crash)
		stop := traffic(t, e, nil)
		defer stop()
		if err := swapTo(e, t, "expert=plugin:a", 1); err == nil || !strings.Contains(err.Error(), "plugin:a: kernels: plugin: crash: killed") {
			t.Errorf("error %v, want the crash", err)
		}
	})
	t.Run("the engine stops", func(t *testing.T) {
		e, _, events := setUp(t, "ref")
		done := make(chan error, 1)
		go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "plugin:a")}) }()
		events.await(t, StepShadow, 1)
		if err := stop(e); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrStopped) {
			t.Errorf("error %v, want ErrStopped", err)
		}
		if err := swapTo(e, t, "plugin:a", 1); !errors.Is(err, ErrStopped) {
			t.Errorf("a swap after the end: error %v, want ErrStopped", err)
		}
		if _, err := e.Kernels(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("status after the end: error %v, want ErrStopped", err)
		}
	})
}

// What is warm has been opened before, and is opened no second time.
func TestWarm(t *testing.T) {
	a := lend(t, "a")
	e := start(t, plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	for range 2 {
		if err := e.Warm(t.Context(), bindingOf(t, "expert=plugin:a")); err != nil {
			t.Fatal(err)
		}
	}
	opened := a.opened.Load()
	if err := swapTo(e, t, "expert=plugin:a", -1); err != nil {
		t.Fatal(err)
	}
	if opened == 0 || a.opened.Load() != opened {
		t.Errorf("opened %d times before the swap, %d after it", opened, a.opened.Load())
	}
	if err := e.Warm(t.Context(), bindingOf(t, "plugin:a,head=hooked")); err != nil { // and stays so until the end
		t.Fatal(err)
	}
}

// The counters tell who computes: all of what is bound to it, and nothing of what is not.
func TestKernelsStatus(t *testing.T) {
	lend(t, "a")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	events := newDiary(&o)
	e := start(t, o)
	if err := swapTo(e, t, "expert=plugin:a,attend@0-1=plugin:a", -1); err != nil {
		t.Fatal(err)
	}
	serve(t, e, []sched.Request{simple(text(1, 8), 80)})
	s, err := e.Kernels(t.Context())
	if err != nil || len(s.Libraries) != 2 || s.Binding != "ref,expert=plugin:a,attend@0-1=plugin:a" || s.Previous != "ref" {
		t.Fatalf("status %+v, error %v", s, err)
	}
	const launches = 79 * (2 + 3*2) // attention of two layers, two experts of three; the prompt's batch uses more of them
	lent, ref := s.Libraries[0], s.Libraries[1]
	if lent.Library != "plugin:a" || lent.Launches < launches+2+6 || lent.Launches > launches+2+15 || !slices.Equal(lent.PIDs, []int{4711}) {
		t.Errorf("%+v", lent)
	}
	if lent.Share <= 0 || ref.Share <= 0 || math.Abs(lent.Share+ref.Share-1) > 1e-9 {
		t.Errorf("shares %v and %v, want two parts of 1", lent.Share, ref.Share)
	}
	v := events.await(t, StepVerify, 1)
	if v.Batches < 64 || v.Launches == 0 || v.Share <= 0 || v.Share >= 1 || v.Binding != "expert=plugin:a,attend@0-1=plugin:a" {
		t.Errorf("verify %+v", v)
	}
}

// Swapping back and forth leaves nothing behind.
func TestThousandSwaps(t *testing.T) {
	a, b := lend(t, "a"), lend(t, "b")
	l := layout{stages: 2, devices: 2, threads: 1, spread: true, batches: 3, rows: 8, sequences: 7}
	e := start(t, l.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	swaps := func(n, shadow int) {
		for i := range n {
			to := []string{"plugin:a", "expert=plugin:b", "ref", "attend@1=plugin:a,head=plugin:b", "ref"}[i%5]
			if err := swapTo(e, t, to, shadow); err != nil {
				t.Fatalf("swap %d to %s: %v", i, to, err)
			}
		}
	}
	stop := traffic(t, e, nil)
	swaps(10, 1)
	stop()
	settle := func() (goroutines, files, kernels, entries int) {
		for live := 2; live > 1; { // the last batches are coming home
			done := make(chan struct{})
			if err := e.binder.ask(t.Context(), func() {
				kernels, live = 0, len(e.binder.live)
				for _, d := range e.devices {
					kernels += d.libs.Held()
				}
				entries = len(e.binder.records) + len(e.binder.warmed) + len(e.binder.ledger.live)
				close(done)
			}); err != nil {
				t.Fatal(err)
			}
			<-done
		}
		list, _ := os.ReadDir("/proc/self/fd") // empty where there is no such thing
		return runtime.NumGoroutine(), len(list), kernels, entries
	}
	g0, f0, u0, o0 := settle()
	swaps(share(850)/5*5, -1)
	stop = traffic(t, e, nil)
	swaps(share(150)/5*5, 1)
	stop()
	g1, f1, u1, o1 := settle()
	if f1 != f0 || u1 != u0 || o1 != o0 || g1 > g0+3 { // a goroutine or two of the test are about to end
		t.Errorf("%d goroutines, %d files, %d kernels, %d entries, before %d, %d, %d, %d", g1, f1, u1, o1, g0, f0, u0, o0)
	}
	s, err := e.Kernels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Libraries {
		if want := strings.Count(l.Library, "plugin"); len(l.PIDs) != want {
			t.Errorf("%s has %d processes, want %d", l.Library, len(l.PIDs), want)
		}
	}
	for _, l := range []*lender{a, b} { // the binding that a roll-back would return to holds each on one device
		if n := l.opened.Load() - l.closed.Load(); n != 1 || l.opened.Load() < 20 {
			t.Errorf("%s: opened %d times, %d of them still open, want 1", l.name, l.opened.Load(), n)
		}
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
