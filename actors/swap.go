package actors

import (
	"context"
	"errors"
	"fmt"

	"troupe/kernels"
)

// Change is what a swap is to do.
type Change struct {
	Binding kernels.Binding // goes over the one in force
	// Shadow is how many batches come home before the new libraries serve. Each computes a part of its layers, a
	// fourth from 4 batches on, by both the old and the new libraries, and compares: in so many batches every
	// layer has its turn. 0: 4; below 0: none.
	Shadow int
}

const defaultShadow = 4

// ErrBusy refuses a swap because another one is under way.
var ErrBusy = errors.New("actors: swap: another one is under way: wait for its end, or roll it back")

// ErrFarSwap refuses a swap because parts are on workers.
var ErrFarSwap = errors.New("actors: swap: with workers kernels are chosen at the start: give the run another --kernels")

// Swap changes the binding while requests run: the new libraries are opened and compiled beside the old ones,
// run beside them on live batches and are compared, and then serve; or it is rolled back, and the error says
// why. It returns when that is decided. Cancelling ctx rolls back. Without requests it waits for them.
func (e *Engine) Swap(ctx context.Context, c Change) error {
	if len(e.hosts) > 0 {
		return ErrFarSwap
	}
	if c.Shadow == 0 {
		c.Shadow = defaultShadow
	}
	done := make(chan error, 1)
	if err := e.binder.ask(ctx, func() { e.binder.swap(c, done) }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// The context is over, and what was begun has to be taken back all the same.
		if ended, err := e.binder.ended(context.Background(), done, context.Cause(ctx)); err == nil && !ended {
			_ = e.binder.ask(context.Background(), func() { e.binder.cancel(done, context.Cause(ctx)) })
		}
		return <-done
	}
}

// Rollback goes back to the binding before the last promotion, or ends a swap under way, or the attempts to bring
// back a library that failed. It does not wait for libraries that are being opened.
func (e *Engine) Rollback(ctx context.Context, reason string) error {
	if ended, err := e.binder.ended(ctx, nil, fmt.Errorf("rolled back: %s", reason)); err != nil || ended {
		return err
	}
	done := make(chan error, 1)
	if err := e.binder.ask(ctx, func() { done <- e.binder.rollback(reason) }); err != nil {
		return err
	}
	return <-done
}

// Warm opens the libraries of a binding and compiles for them, so that a later swap to it is quick. They stay
// open until that swap, or the engine's end.
func (e *Engine) Warm(ctx context.Context, b kernels.Binding) error {
	done := make(chan error, 1)
	if err := e.binder.ask(ctx, func() { done <- e.binder.warm(b) }); err != nil {
		return err
	}
	return <-done
}

// Suspect is a run of generations that batches were computed in by a library that was then found to compute
// something else than it should. Of a request, tokens are doubtful whose Event has Since <= To and
// Generation >= From.
type Suspect struct {
	From, To uint64 // both included; To is the largest number while batches still run so
	Library  string
	Binding  string
	Reason   string
}

// Suspects are all of them so far, oldest first. A suspect is there before the batch comes home in which its
// fault was found.
func (e *Engine) Suspects() []Suspect { return e.binder.suspects.list() }
