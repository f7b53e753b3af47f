package lab

import (
	"context"
	"errors"
	"fmt"

	"troupe/router"
	"troupe/stages/sched"
)

// logits judges a document under the base and keeps what it says, [judged][V].
func (r *judging) logits(ctx context.Context, t *task, counts bool, q *Quality) (base [][]float32, err error) {
	own := NewDistribution(r.Model.VocabSize)
	base = make([][]float32, t.Judged())
	err = r.follow(ctx, t, r.Base, q, func(e sched.Event) error {
		if err := own.Set(e.Logits); err != nil {
			return err
		}
		base[e.Index] = e.Logits
		q.Loss -= own.Logs[t.IDs[e.Index+1]]
		q.Same++
		if counts {
			r.progress()
		}
		return nil
	})
	return base, err
}

// one judges a document under a policy, beside the base's logits if there are any.
func (r *judging) one(ctx context.Context, t *task, policy router.Policy, base [][]float32) (q Quality, err error) {
	if base == nil {
		return q, r.follow(ctx, t, policy, &q, func(e sched.Event) error {
			q.Loss -= float64(e.LogProb)
			r.progress()
			return nil
		})
	}
	want, got := NewDistribution(r.Model.VocabSize), NewDistribution(r.Model.VocabSize)
	err = r.follow(ctx, t, policy, &q, func(e sched.Event) error {
		if err := errors.Join(want.Set(base[e.Index]), got.Set(e.Logits)); err != nil {
			return err
		}
		q.Loss -= got.Logs[t.IDs[e.Index+1]]
		q.KL += want.Divergence(got)
		if want.Likeliest == got.Likeliest {
			q.Same++
		}
		r.progress()
		return nil
	})
	return q, err
}

// follow runs a request when its turn comes and hands its events to take, but for the end. What take finds wrong
// ends the request.
func (r *judging) follow(ctx context.Context, t *task, policy router.Policy, q *Quality, take func(sched.Event) error) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	want := request(t.Document, policy, r.Compare)
	want.Trace = !policy.Fixed()
	err := r.events(ctx, want, func(e sched.Event) error {
		for _, row := range e.Routing {
			if row.Position < t.Judged() {
				q.Experts += int64(len(row.Path.Expert))
			}
		}
		if e.Done {
			return nil
		}
		q.Tokens++
		return take(e)
	})
	if err == nil && q.Tokens != t.Judged() {
		err = fmt.Errorf("BUG: %d of %d tokens came", q.Tokens, t.Judged())
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("lab: %s, experts %v: %w", t.Name, policy, err)
	}
	if m := &r.Model.Model; !want.Trace {
		for l := range m.NumLayers {
			q.Experts += int64(policy.Most(l, m.NumExperts) * q.Tokens)
		}
	}
	return err
}

// events runs a request and hands all its events to take.
func (r *judging) events(ctx context.Context, request sched.Request, take func(sched.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.Engine.Submit(ctx, request)
	if err != nil {
		return err
	}
	for event := range stream.Events() {
		err := take(event)
		switch {
		case err != nil:
			return err
		case !event.Done:
		case event.Finish == sched.Cancelled:
			return context.Cause(ctx)
		default:
			return event.Err
		}
	}
	return errors.New("BUG: events without an end")
}
