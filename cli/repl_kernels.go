package main

import (
	"context"
	"fmt"
	"sync"
)

// showKernels prints the status of the kernels.
func (r *repl) showKernels(ctx context.Context, _ string) error {
	s, err := r.kernels.engine.status(ctx)
	if err != nil {
		return err
	}
	return s.print(r.program, r.err)
}

// backgroundSwaps are the swaps of the interactive mode. They go on while texts are made, since they need some.
type backgroundSwaps struct {
	running sync.WaitGroup
	cancels []context.CancelFunc
}

// swap begins a swap; its events tell the rest.
func (r *repl) swap(ctx context.Context, text string) error {
	b, err := r.kernels.parse(ctx, text)
	if err != nil {
		return &settingError{err}
	}
	ctx, cancel := context.WithCancel(ctx)
	r.swaps.cancels = append(r.swaps.cancels, cancel)
	r.swaps.running.Go(func() {
		if err := r.kernels.untold(ctx, b, 0); err != nil && ctx.Err() == nil {
			r.complain(fmt.Errorf("/swap: %s", terse(err.Error())))
		}
	})
	return nil
}

// endSwaps takes back what is not in force yet.
func (r *repl) endSwaps() {
	for _, cancel := range r.swaps.cancels {
		cancel()
	}
	r.swaps.running.Wait()
}

// rollback goes back to the binding before the last promotion.
func (r *repl) rollback(ctx context.Context, _ string) error {
	if err := r.kernels.engine.rollback(ctx, "asked for by /rollback"); err != nil {
		return &settingError{err}
	}
	return nil
}
