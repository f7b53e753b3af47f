package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"troupe/actors"
	"troupe/internal/control"
	"troupe/kernels"
	"troupe/router"
)

// steered is an engine as far as it can be steered and asked from outside.
type steered interface {
	swap(ctx context.Context, b kernels.Binding, shadow int) error
	rollback(ctx context.Context, reason string) error
	warm(ctx context.Context, b kernels.Binding) error
	status(ctx context.Context) (kernelStatus, error)
	stats(ctx context.Context) (engineStats, error)
	routing(ctx context.Context) (router.Counters, error)
	company(ctx context.Context) (actors.Company, error)
	move(ctx context.Context, part actors.Part, to actors.Target) (actors.Moved, error)
}

// steering steers the kernels of a running engine, for --swap, the interactive mode and troupe ctl, and hands its
// events on.
type steering struct {
	engine steered
	// parse reads a binding, for which plugins may have to be looked for.
	parse     func(ctx context.Context, binding string) (kernels.Binding, error)
	libraries func(ctx context.Context) ([]libraryReport, error) // that there are

	mu        sync.Mutex
	listeners map[*listener]bool

	counting sync.Mutex      // one report at a time: none has been counted before its base
	base     router.Counters // of routing at the last reset
}

// maxPending bounds the events that wait for a listener; more are dropped, and it is told how many.
const maxPending = 256

// listener is told of events.
type listener struct {
	events  chan kernelEvent
	dropped int
}

// publish hands an event to all listeners. It never waits.
func (s *steering) publish(e kernelEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		select {
		case l.events <- e:
		default:
			l.dropped++
		}
	}
}

// listen has each told of events from now on until stop is called, which waits for those on their way. After an
// error of each nothing more is told.
func (s *steering) listen(each func(kernelEvent) error) (stop func()) {
	l := &listener{events: make(chan kernelEvent, maxPending)}
	s.mu.Lock()
	if s.listeners == nil {
		s.listeners = map[*listener]bool{}
	}
	s.listeners[l] = true
	s.mu.Unlock()
	var done sync.WaitGroup
	done.Go(func() {
		var err error
		for e := range l.events {
			if err == nil {
				err = each(e)
			}
		}
		if err == nil && l.dropped > 0 {
			_ = each(kernelEvent{Step: "dropped", Reason: plural(l.dropped, "event") + " came too fast to be told"})
		}
	})
	return func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		close(l.events)
		done.Wait()
	}
}

// swap changes the binding and returns when it is in force, or why it is not. each is told of events meanwhile.
func (s *steering) swap(ctx context.Context, binding string, shadow int, each func(kernelEvent) error) error {
	b, err := s.parse(ctx, binding)
	if err != nil {
		return err
	}
	return s.listening(each, func() error { return s.engine.swap(ctx, b, shadow) })
}

// untold carries a swap out for somebody who is told of all events anyhow. Its error is one that none of them says.
func (s *steering) untold(ctx context.Context, b kernels.Binding, shadow int) error {
	told := false
	err := s.listening(func(e kernelEvent) error {
		told = told || e.Step == actors.StepRollback
		return nil
	}, func() error { return s.engine.swap(ctx, b, shadow) })
	if told {
		return nil
	}
	return err
}

// lastEvent is how long the event that tells of the end of a swap may be on its way behind that end.
const lastEvent = time.Second

// listening runs do while each is told of events, until that of its end, if it has one.
func (s *steering) listening(each func(kernelEvent) error, do func() error) error {
	end := make(chan struct{})
	var once sync.Once
	defer s.listen(func(e kernelEvent) error {
		if e.Step == actors.StepPromote || e.Step == actors.StepRollback {
			defer once.Do(func() { close(end) })
		}
		return each(e)
	})()
	err := do()
	if !errors.Is(err, actors.ErrBusy) {
		select {
		case <-end:
		case <-time.After(lastEvent):
		}
	}
	return err
}

// maxShadow bounds the batches that a swap compares.
const maxShadow = 1_000_000

// handle answers a request of troupe ctl.
func (s *steering) handle(ctx context.Context, r control.Request, event func(any) error) (any, error) {
	if r.Do != "swap" && (r.Binding != "" || r.Shadow != nil) {
		return nil, fmt.Errorf("control: %q with a binding or a shadow: these are of a swap", r.Do)
	}
	if r.Do != "rollback" && r.Reason != "" {
		return nil, fmt.Errorf("control: %q with a reason: that is of a rollback", r.Do)
	}
	if r.Do != "experts" && r.Reset {
		return nil, fmt.Errorf("control: %q with a reset: that is of experts", r.Do)
	}
	if r.Do != "move" && (r.Part != "" || r.To != "") {
		return nil, fmt.Errorf("control: %q with a part or a target: these are of a move", r.Do)
	}
	switch r.Do {
	case "company":
		c, err := s.engine.company(ctx)
		return companyOf(c), err
	case "move":
		return s.move(ctx, r.Part, r.To)
	case "swap":
		shadow := 0
		if r.Shadow != nil {
			if shadow = *r.Shadow; shadow < 0 || shadow > maxShadow {
				return nil, fmt.Errorf("control: shadow %d, want 0 (none) to %d", shadow, maxShadow)
			}
			if shadow == 0 {
				shadow = -1
			}
		}
		if r.Binding == "" {
			return nil, errors.New("control: a swap without a binding, want one such as expert=plugin:mine")
		}
		if err := s.swap(ctx, r.Binding, shadow, func(e kernelEvent) error { return event(e) }); err != nil {
			return nil, errors.New(terse(err.Error()))
		}
		return s.engine.status(ctx)
	case "rollback":
		reason := r.Reason
		if reason == "" {
			reason = "asked for by troupe ctl"
		}
		err := s.listening(func(e kernelEvent) error { return event(e) }, func() error { return s.engine.rollback(ctx, reason) })
		if err != nil {
			return nil, err
		}
		return s.engine.status(ctx)
	case "status":
		return s.engine.status(ctx)
	case "stats":
		return s.engine.stats(ctx)
	case "experts":
		return s.routing(ctx, r.Reset)
	case "list":
		return s.libraries(ctx)
	}
	return nil, fmt.Errorf("control: do %q, want one of swap, rollback, status, stats, experts, list, company, move", r.Do)
}
