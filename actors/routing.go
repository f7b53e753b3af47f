package actors

import (
	"context"
	"errors"

	"troupe/router"
)

// ErrNoTelemetry says that the engine was started with NoTelemetry.
var ErrNoTelemetry = errors.New("actors: the engine was told not to count its routing: start one that does (--telemetry)")

// newCounters makes the counters of a stage's router, if there are to be any.
func (e *Engine) newCounters(o *Options, stage int) {
	if e.count == nil {
		return
	}
	m, span := o.Model.Model, o.Placement.Stages[stage].Span
	e.count[stage] = router.NewCounters(m.NumLayers, m.NumExperts, span.Lo, span.Hi)
}

// Routing is what all routers have counted since the start: rows of prompts and of new tokens, those of requests that
// failed or were cancelled as far as they came. It is a copy, made between two turns of each lane, so that layers may
// differ by the batches in flight. What was counted meanwhile is the difference to an earlier one:
// [router.Counters.Sub].
func (e *Engine) Routing(ctx context.Context) (router.Counters, error) {
	if e.count == nil {
		return router.Counters{}, ErrNoTelemetry
	}
	if e.over() {
		return router.Counters{}, e.reason
	}
	copies := make(chan router.Counters, len(e.count))
	for i, c := range e.count {
		e.devices[e.seats[i].device.Load()].lane.Schedule(func() { copies <- c.Clone() })
	}
	var all router.Counters
	for range e.count {
		select {
		case c := <-copies:
			all = all.Add(&c)
		case <-ctx.Done():
			return router.Counters{}, context.Cause(ctx)
		case <-e.ended:
			return router.Counters{}, e.reason
		}
	}
	return all, nil
}
