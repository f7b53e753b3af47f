package main

import (
	"context"
)

// stats shows what the engine has done since its start.
func (r *repl) stats(ctx context.Context, _ string) error {
	s, err := r.generator.engine.Stats(ctx)
	if err != nil {
		return err
	}
	return statsOf(s).print(r.err)
}
