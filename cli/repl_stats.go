package main

import (
	"context"
	"fmt"
)

// stats shows what the engine has done since its start.
func (r *repl) stats(ctx context.Context, _ string) error {
	s, err := r.generator.engine.Stats(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.err, "  %d tokens made, %d prompt tokens read, in %d batches\n", s.Sched.Tokens, s.Sched.PromptRows, s.Sched.Batches)
	fmt.Fprintf(r.err, "  cache: %d of %d blocks in use, %d at most so far\n", s.Sched.Cache.Lent, s.Sched.Cache.Blocks, s.Sched.Cache.Most)
	for i, st := range s.Stages {
		fmt.Fprintf(r.err, "  stage %d: layers %d-%d on device %d, busy %s\n", i, st.Span.Lo, st.Span.Hi-1, st.Device, seconds(st.Busy))
	}
	for i, d := range s.Devices {
		fmt.Fprintf(r.err, "  device %d: %s, busy %s\n", i, d.Name, seconds(d.Busy))
	}
	return nil
}
