package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages/place"
	"troupe/stages/sched"
)

// shared arranges the toy in stages that one device here and one of a worker share.
func (c *company) shared(t testing.TB, spread bool) Options {
	o := c.far(t, layout{stages: 3, devices: 2, threads: 1, spread: spread, batches: 4, rows: 9, sequences: 9}, kernels.Int8)
	o.Placement.Devices[1].Host, o.Placement.Devices[1].Number, o.Load = "", 0, c.load
	return o
}

// begun submits requests and waits until tokens come.
func begun(t *testing.T, e *Engine, more ...sched.Request) (end func() []outcome) {
	t.Helper()
	var streams []*Stream
	for _, r := range append(asks(t), more...) {
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	return func() (all []outcome) {
		for _, s := range streams {
			all = append(all, collect(s))
		}
		return all
	}
}

// long is a request that takes its time.
func long(t *testing.T) sched.Request {
	r := asks(t)[0]
	r.MaxTokens = 90
	return r
}

// What a worker had goes to a device of this process when there is no other, and no bit changes.
func TestTakenOverHere(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	for _, spread := range []bool{false, true} {
		c := newCompany(t, w, 1)
		e := start(t, c.shared(t, spread))
		end := begun(t, e)
		fire(t, c.workers[0])
		compare(t, end(), want)
		compare(t, serve(t, e, asks(t)), want)
		if l := e.Losses(); l.Deaths == 0 {
			t.Error("nobody has died")
		}
		if n := len(e.rooms.all()); n != 2 {
			t.Errorf("%d rooms, want the one from the start and the one of what was taken over", n)
		}
	}
}

// small states too little memory for anything more, here and on spares.
func small(o *Options) {
	for i := range o.Placement.Devices {
		if o.Placement.Devices[i].Host == "" {
			o.Placement.Devices[i].Memory = 1000
		}
	}
}

// When no device can take what was lost, requests wait until one can, or are cancelled.
func TestWaitOnLoss(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	c := newCompany(t, w, 1)
	o := c.shared(t, true)
	small(&o)
	e := start(t, o)
	end := begun(t, e)
	fire(t, c.workers[0])
	missing(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := e.Submit(ctx, asks(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for ev := range s.Events() {
		if ev.Done && ev.Finish != sched.Cancelled {
			t.Errorf("a cancelled request that waits ends with %v", ev.Finish)
		}
	}
	c.hire(t, 0)
	compare(t, end(), want)
	compare(t, serve(t, e, asks(t)), want)
}

// missing waits until the engine knows that nobody can take over.
func missing(t *testing.T, e *Engine) {
	t.Helper()
	for {
		e.keeper.mu.Lock()
		why := e.keeper.missing
		e.keeper.mu.Unlock()
		if why != nil {
			if !strings.Contains(why.Error(), "w0:1") || !strings.Contains(why.Error(), "of memory, but that would take") {
				t.Errorf("reason %q: want the worker, and why others do not take over", why)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// An engine that waits for a device can be stopped.
func TestStopWhileWaiting(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for _, how := range []OnLoss{WaitOnLoss, FailOnLoss} {
		c := newCompany(t, w, 1)
		o := c.shared(t, true)
		small(&o)
		o.OnLoss = how
		e := start(t, o)
		end := begun(t, e)
		fire(t, c.workers[0])
		missing(t, e)
		if err := stop(e); err != nil {
			t.Error(err)
		}
		for _, o := range end() {
			if o.finish != sched.Failed && o.finish != sched.Cancelled && o.finish != sched.Length {
				t.Errorf("a request ends with %v", o.finish)
			}
		}
	}
}

// With fail, requests end at once with the reason, new ones are refused with it, and when the worker is back others are served.
func TestFailOnLoss(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	c := newCompany(t, w, 1)
	o := c.shared(t, true)
	small(&o)
	o.OnLoss = FailOnLoss
	e := start(t, o)
	end := begun(t, e, long(t))
	fire(t, c.workers[0])
	failed := 0
	for _, o := range end() {
		if o.finish == sched.Failed {
			failed++
			if !errors.Is(o.err, ErrLost) {
				t.Errorf("a request ends with %v, want what was lost", o.err)
			}
		}
	}
	if failed == 0 {
		t.Error("no request has ended with the loss")
	}
	if _, err := e.Submit(t.Context(), asks(t)[0]); !errors.Is(err, ErrLost) {
		t.Errorf("a new request: %v, want a refusal with the reason", err)
	}
	c.hire(t, 0)
	for {
		s, err := e.Submit(t.Context(), asks(t)[0])
		if err == nil {
			collect(s)
			break
		}
		time.Sleep(time.Millisecond)
	}
	compare(t, serve(t, e, asks(t)), want)
}

// A worker that is silent for a while loses its parts to a spare at once, does no harm when it comes back, and is a
// spare itself from then on.
func TestSilentWorkerComesBack(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	c := newCompany(t, w, 2)
	o := c.far(t, layout{stages: 3, devices: 2, threads: 1, spread: true, batches: 4, rows: 9, sequences: 9}, kernels.Int8)
	o.Placement.Devices[0].Host, o.Placement.Devices[0].Number = address(0), 0
	o.Placement.Devices[1].Host, o.Placement.Devices[1].Number = address(0), 1
	o.Spare = []place.Device{{Name: "cpu", Host: address(1)}}
	o.Silence = 300 * time.Millisecond
	e := start(t, o)
	for turn := range 2 {
		end := begun(t, e)
		c.net.Drop(address(turn%2), 500*time.Millisecond)
		compare(t, end(), want)
		compare(t, serve(t, e, asks(t)), want)
		for e.host(address(turn%2)).now() == 0 { // it is found again
			time.Sleep(time.Millisecond)
		}
	}
	if l := e.Losses(); l.Recoveries < 2 {
		t.Errorf("%d recoveries, want one for each silence", l.Recoveries)
	}
	for i := range c.workers {
		if !strings.Contains(c.workers[i].Serves(), "process") {
			t.Errorf("worker %d serves %q, want this process", i, c.workers[i].Serves())
		}
	}
}
