package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages/sched"
)

// gate holds batches at an op until it is opened.
type gate struct {
	arrived chan struct{} // one for each batch held
	open    chan struct{}
}

// newGate lets the first few batches through.
func newGate(t *testing.T, op kernels.Op, free int32) *gate {
	g := &gate{arrived: make(chan struct{}, 100), open: make(chan struct{})}
	var passed atomic.Int32
	setHook(t, func(s kernels.Segment, _ *kernels.Frame) error {
		if has(s, op) && passed.Add(1) > free {
			g.arrived <- struct{}{}
			<-g.open
		}
		return nil
	})
	return g
}

func TestCancel(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for _, tokens := range []int{0, 3} {
		t.Run(fmt.Sprintf("after %d tokens", tokens), func(t *testing.T) {
			g := newGate(t, kernels.Head, int32(tokens)) // on the second device: the head's lane is free
			e := start(t, pipeline.options(t, w, kernels.Int8, "hooked"))
			ctx, cancel := context.WithCancel(t.Context())
			s, err := e.Submit(ctx, simple(text(1, 8), 80))
			if err != nil {
				t.Fatal(err)
			}
			<-g.arrived
			cancel()
			if o := collect(s); o.finish != "cancelled" || o.err != nil || len(o.tokens) != tokens {
				t.Errorf("%q after %d tokens, error %v, want cancelled after %d, at once", o.finish, len(o.tokens), o.err, tokens)
			}
			if _, more := s.Next(); more {
				t.Error("an event after the last one")
			}
			close(g.open)
			if got := serve(t, e, []sched.Request{simple(text(1, 8), 4)}); got[0].finish != "length" {
				t.Errorf("a request after the cancelled one: %q, %v", got[0].finish, got[0].err)
			}
			atHome(t, e)
		})
	}
	t.Run("before it began", func(t *testing.T) {
		e := start(t, pipeline.options(t, w, kernels.Int8, "ref"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Submit(ctx, simple(text(1, 8), 6)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

func TestFullHouse(t *testing.T) {
	g := newGate(t, kernels.Head, 0)
	o := pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked")
	o.Sched.Sequences, o.Sched.Queue = 1, 2
	e := start(t, o)
	var streams []*Stream
	for i := range 3 { // one runs, two wait
		s, err := e.Submit(t.Context(), simple(text(i, 8), 2))
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		streams = append(streams, s)
	}
	if _, err := e.Submit(t.Context(), simple(text(3, 8), 2)); !errors.Is(err, sched.ErrFull) {
		t.Errorf("a fourth request: error %v, want ErrFull", err)
	}
	close(g.open)
	for i, s := range streams {
		if o := collect(s); o.finish != "length" {
			t.Errorf("request %d: %q, %v", i, o.finish, o.err)
		}
	}
}

func TestStopWhileRunning(t *testing.T) {
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	var streams []*Stream
	for i := range 8 {
		s, err := e.Submit(t.Context(), simple(text(i, 8), 80))
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if _, ok := streams[0].Next(); !ok {
		t.Fatal("no first token")
	}
	var wg sync.WaitGroup
	for range 3 { // more than one may call it
		wg.Go(func() {
			if err := stop(e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, s := range streams {
		if o := collect(s); o.finish != "cancelled" && o.finish != "length" {
			t.Errorf("stream %d: finish %q, error %v, want cancelled", i, o.finish, o.err)
		}
	}
	if _, err := e.Submit(t.Context(), simple(text(1, 8), 6)); !errors.Is(err, ErrStopped) {
		t.Errorf("a request after the end: %v, want ErrStopped", err)
	}
	if _, err := e.Stats(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("stats after the end: %v, want ErrStopped", err)
	}
}

// Stop gives up waiting when its context ends, says for what it waited, and goes on behind.
func TestStopWithDeadline(t *testing.T) {
	g := newGate(t, kernels.Embed, 0)
	e := start(t, plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked"))
	s, err := e.Submit(t.Context(), simple(text(1, 8), 6))
	if err != nil {
		t.Fatal(err)
	}
	<-g.arrived
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := e.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still waiting for batches in flight") {
		t.Errorf("error %v, want one that says what it waited for", err)
	}
	close(g.open)
	if err := stop(e); err != nil {
		t.Error(err)
	}
	if o := collect(s); o.finish != "cancelled" {
		t.Errorf("finish %q, want cancelled", o.finish)
	}
}

// The engine does not wait for a reader: one that comes late finds everything.
func TestLateReader(t *testing.T) {
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	late, err := e.Submit(t.Context(), simple(text(1, 8), 40))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e, []sched.Request{simple(text(2, 8), 60)})
	if err := stop(e); err != nil {
		t.Fatal(err)
	}
	if o := collect(late); len(o.tokens) != 40 || o.finish != "length" {
		t.Errorf("%d tokens, finish %q, want all 40", len(o.tokens), o.finish)
	}
}

func TestStats(t *testing.T) {
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref"))
	serve(t, e, []sched.Request{simple(text(1, 8), 5)})
	s, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Sched; n.Batches != 5 || n.PromptRows != 8 || n.DecodeRows != 4 || n.Tokens != 5 || n.InFlight != 0 || s.Credits != 3 {
		t.Errorf("%+v, %d credits, want 5 batches of 8 and 4 rows, 5 tokens, 3 credits", n, s.Credits)
	}
	if len(s.Stages) != 2 || len(s.Devices) != 2 {
		t.Fatalf("%d stages, %d devices, want 2, 2", len(s.Stages), len(s.Devices))
	}
	for i, st := range s.Stages {
		if st.Busy <= 0 || st.Device != i || s.Devices[i].Busy < st.Busy {
			t.Errorf("stage %d: %+v on a device %+v: want it on device %d, which is busy as long at least", i, st, s.Devices[i], i)
		}
	}
}

// Clients come, cancel and go on many goroutines at once; everything comes back.
func TestCrowd(t *testing.T) {
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "cpu"))
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := range 6 {
				ctx, cancel := context.WithCancel(t.Context())
				s, err := e.Submit(ctx, simple(text(client, 1+i), 20))
				if err != nil {
					t.Errorf("client %d: request %d: %v", client, i, err)
				}
				want := sched.Length
				for ev := range s.Events() {
					if ev.Index == i*client && i*client > 0 && !ev.Done {
						want = sched.Cancelled
						cancel()
					}
					if ev.Done && ev.Finish != want && ev.Finish != sched.Length {
						t.Errorf("client %d: request %d: finish %q, error %v, want %q", client, i, ev.Finish, ev.Err, want)
					}
				}
				cancel()
				if _, err := e.Stats(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	atHome(t, e)
}
