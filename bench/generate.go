package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"troupe/actors"
	"troupe/stages/sched"
)

// step is a batch that has passed the last layer.
type step struct {
	at      time.Time
	rows    int
	experts int64 // turns of experts so far
}

// gate watches an engine from within, where no other goroutine delays the clock, and can hold it between
// two tokens. Reset it before a run.
type gate struct {
	layers  int
	experts atomic.Int64
	armed   atomic.Bool
	held    chan struct{} // receives when the engine is held
	release chan struct{} // lets it go on

	mu    sync.Mutex
	free  chan struct{} // closed when the run is over: nothing is held any more
	armAt int           // rows from which on the gate arms itself; 0: never
	rows  int
	steps []step // since the run began, or since the engine was held
	past  []step // before that
}

func newGate(layers int) *gate {
	return &gate{layers: layers, held: make(chan struct{}, 1), release: make(chan struct{}), free: make(chan struct{})}
}

// reset forgets what was seen, and has the gate hold the engine as soon as so many rows have passed.
func (g *gate) reset(armAt int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armAt, g.rows, g.steps, g.past, g.free = armAt, 0, g.steps[:0], g.past[:0], make(chan struct{})
	select {
	case <-g.held: // of a run that ended otherwise
	default:
	}
}

// finish ends a run: it lets the engine go on, whatever it waits for.
func (g *gate) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armAt = 0
	g.armed.Store(false)
	close(g.free)
}

// turn is told of every turn. Traces should not wait, but here nothing else is to happen meanwhile: the
// lane of the last stage stands still at the end of a token, and so does, soon, all that is behind it.
func (g *gate) turn(t actors.Turn) {
	switch {
	case t.Expert >= 0:
		g.experts.Add(1)
	case t.Layer == g.layers:
		free := g.note(t.Rows)
		if g.armed.CompareAndSwap(true, false) {
			g.held <- struct{}{}
			select {
			case <-g.release:
			case <-free:
			}
		}
	}
}

func (g *gate) note(rows int) (free chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps = append(g.steps, step{time.Now(), rows, g.experts.Load()})
	g.rows += rows
	if g.armAt > 0 && g.rows >= g.armAt {
		g.armAt = 0
		g.armed.Store(true)
	}
	return g.free
}

// settle is how long threads go on looking for work before they sleep, and more.
const settle = 2 * time.Millisecond

// hold calls f while the engine is held, unless done is closed before. It reports whether f was called.
func (g *gate) hold(done <-chan struct{}, f func()) bool {
	select {
	case <-g.held:
	case <-done:
		return false
	}
	time.Sleep(settle)
	f()
	g.mu.Lock()
	g.steps, g.past = append(g.past[:0], step{time.Now(), 0, g.experts.Load()}), g.steps
	g.mu.Unlock()
	g.release <- struct{}{}
	return true
}

// decode is what the steps since the engine was held have been, as long as all streams went on: rows and
// turns of experts of a step, and rows a second. Where it was held too late, or not at all, those before
// count that are too small for a prompt's.
func (g *gate) decode(streams int) (rows, experts, rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.steps
	if len(list) < 2 {
		list = g.past
	}
	for len(list) > 1 && list[0].rows > streams {
		list = list[1:]
	}
	end := 1
	for end < len(list) && list[end].rows >= list[1].rows {
		end++
	}
	list = list[:min(end, len(list))]
	if len(list) < 2 {
		return 0, 0, 0
	}
	first, last, n := list[0], list[len(list)-1], 0
	for _, s := range list[1:] {
		n += s.rows
	}
	steps := float64(len(list) - 1)
	return float64(n) / steps, float64(last.experts-first.experts) / steps, ratio(float64(n), last.at.Sub(first.at).Seconds())
}

// decoded is the rows since the engine was held.
func (g *gate) decoded() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.steps {
		n += s.rows
	}
	return n
}

// prefilled is when that many rows had passed; zero: not yet.
func (g *gate) prefilled(rows int) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.steps {
		if rows -= s.rows; rows <= 0 {
			return s.at
		}
	}
	return time.Time{}
}

// flight is requests that run together.
type flight struct {
	began  chan struct{} // closed when each has its first token, or has failed
	ended  chan struct{} // closed when all are over
	cancel func()
	errs   []error // valid then
}

// generate hands the requests in and reads what comes.
func generate(ctx context.Context, e *actors.Engine, requests []sched.Request) *flight {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{began: make(chan struct{}), ended: make(chan struct{}), cancel: cancel, errs: make([]error, len(requests))}
	var began, ended sync.WaitGroup
	began.Add(len(requests))
	for i, r := range requests {
		ended.Go(func() {
			first := sync.OnceFunc(began.Done)
			defer first()
			if f.errs[i] = follow(ctx, e, r, first); f.errs[i] != nil {
				cancel() // the others need not go on
			}
		})
	}
	go func() { began.Wait(); close(f.began) }()
	go func() { ended.Wait(); close(f.ended) }()
	return f
}

// wait returns when all are over.
func (f *flight) wait(ctx context.Context) error {
	<-f.ended
	f.cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return cause(f.errs)
}

// cause is the first error that is not the mere end of the others' context.
func cause(errs []error) (first error) {
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}

// follow hands a request in and reads its events.
func follow(ctx context.Context, e *actors.Engine, r sched.Request, first func()) error {
	stream, err := e.Submit(ctx, r)
	if err != nil {
		return err
	}
	n := 0
	for event := range stream.Events() {
		switch {
		case !event.Done:
			n++
			first()
		case event.Finish == sched.Cancelled:
			return context.Canceled
		case event.Err != nil:
			return event.Err
		}
	}
	if n != r.MaxTokens {
		return fmt.Errorf("BUG: %d tokens came, want %d", n, r.MaxTokens)
	}
	return nil
}
