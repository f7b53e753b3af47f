package main

import (
	"context"
	"errors"

	"troupe/actors"
)

// stats shows what the engine has done since its start.
func (r *repl) stats(ctx context.Context, _ string) error {
	s, err := r.generator.engine.Stats(ctx)
	if err != nil {
		return err
	}
	return statsOf(s).print(r.err)
}

// showRouting shows which experts tokens have used since the start, or since troupe ctl experts --reset.
func (r *repl) showRouting(ctx context.Context, _ string) error {
	report, err := r.kernels.routing(ctx, false)
	if errors.Is(err, actors.ErrNoTelemetry) {
		return &settingError{err}
	}
	if err != nil {
		return err
	}
	return r.printRouting(report, r.err)
}
