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
	"testing"

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
	t.Run("panics on trial", func(t *testing.T) {
		e, _, _ := setUp(t, "ref")
		setHook(t, func(s kernels.Segment, _ *kernels.Frame) error {
			if has(s, kernels.Attend) {
				panic("a test's own\nwith a stack")
			}
			return nil
		})
		stop := traffic(t, e, nil)
		defer stop()
		if err := swapTo(e, t, "hooked", 1); err == nil || !strings.Contains(err.Error(), "hooked: BUG: panic: a test's own: please") {
			t.Errorf("error %v, want the panic", err)
		}
		if n := e.Losses(); n.Deaths > 0 {
			t.Errorf("%d parts have died of a library on trial", n.Deaths)
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

// While a library opens questions are answered, and a roll-back or the end of the caller's context ends the swap;
// what was opened for it is closed.
func TestRollbackWhileOpening(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for _, how := range []string{"rolled back", "cancelled"} {
		t.Run(how, func(t *testing.T) {
			a := lend(t, "a")
			opening, open := make(chan struct{}), make(chan struct{})
			a.open(func() error { close(opening); <-open; return nil })
			o := plain.options(t, w, kernels.Int8, "ref")
			events := newDiary(&o)
			e := start(t, o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- e.Swap(ctx, Change{Binding: bindingOf(t, "plugin:a")}) }()
			<-opening
			s, err := e.Kernels(t.Context())
			if err != nil || s.Binding != "ref" || s.Swap == nil || s.Swap.Step != StepCompile || s.Swap.Binding != "plugin:a" {
				t.Errorf("status %+v, error %v, want a swap that compiles", s, err)
			}
			if how == "cancelled" {
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want that of the context", err)
				}
			} else {
				for range 2 { // the second one has nothing more to do
					if err := e.Rollback(t.Context(), "it takes too long"); err != nil {
						t.Error(err)
					}
				}
				if err := <-done; err == nil || !strings.Contains(err.Error(), "rolled back: it takes too long") {
					t.Errorf("error %v, want the reason", err)
				}
			}
			if a.opened.Load() > 0 {
				t.Error("the library has been opened meanwhile: the test is blind")
			}
			close(open)
			events.await(t, StepRollback, 1)
			a.open(func() error { return nil })
			if err := swapTo(e, t, "plugin:a", -1); err != nil || len(events.all(StepRollback)) != 1 {
				t.Errorf("afterwards: error %v, events %+v", err, events.events)
			}
		})
	}
}

// An engine that is stopped while a library opens waits for that, and says so.
func TestStopWhileOpening(t *testing.T) {
	a := lend(t, "a")
	opening, open := make(chan struct{}), make(chan struct{})
	a.open(func() error { close(opening); <-open; return nil })
	e := start(t, plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	done := make(chan error, 1)
	go func() { done <- e.Swap(t.Context(), Change{Binding: bindingOf(t, "plugin:a")}) }()
	<-opening
	ctx, cancel := context.WithCancel(t.Context())
	phases := make(chan error, 1)
	go func() { phases <- e.Stop(ctx) }()
	for e.phase.Load() != "waiting for libraries" {
		runtime.Gosched()
	}
	cancel()
	if err := <-phases; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for libraries") {
		t.Errorf("error %v, want one that says what it waits for", err)
	}
	close(open)
	if err := stop(e); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("the swap: error %v, want ErrStopped", err)
	}
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

// A swap that is rolled back does not end the figures of what was promoted before it.
func TestFiguresGoOn(t *testing.T) {
	lend(t, "a")
	lend(t, "b")
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	events := newDiary(&o)
	e := start(t, o)
	if err := swapTo(e, t, "expert=plugin:a", -1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- swapTo(e, t, "head=plugin:b", 1) }()
	events.await(t, StepShadow, 1)
	if err := e.Rollback(t.Context(), "no"); err != nil {
		t.Error(err)
	}
	<-done
	serve(t, e, []sched.Request{simple(text(1, 8), 80)})
	if v := events.await(t, StepVerify, 1); v.Binding != "expert=plugin:a" || v.Launches == 0 {
		t.Errorf("verify %+v, want figures of what was promoted", v)
	}
	if err := e.Rollback(t.Context(), "no"); err != nil {
		t.Error(err)
	}
	serve(t, e, []sched.Request{simple(text(1, 8), 80)})
	if all := events.all(StepVerify); len(all) != 1 {
		t.Errorf("%+v: figures of what does not serve any more", all)
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
				for _, r := range e.rooms.all() {
					kernels += r.libs.Held()
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
