package fleet

import (
	"context"
	"errors"
	"sync"

	"troupe/actors"
	"troupe/router"
	"troupe/stages/sched"
)

// Fleet is running engines. Its methods may be called from any goroutine.
type Fleet struct {
	replicas []*replica
	mu       sync.Mutex // over the loads
}

// replica is an engine and what it has to do.
type replica struct {
	*actors.Engine
	load int // positions that its open requests may still compute, at most
}

// Start starts an engine for each of the options, one after the other: they may share weights, which are mapped once.
// When one fails, those before it are stopped.
func Start(ctx context.Context, options []actors.Options) (*Fleet, error) {
	f := &Fleet{}
	for _, o := range options {
		e, err := actors.Start(ctx, o)
		if err != nil {
			return nil, errors.Join(err, f.Stop(context.WithoutCancel(ctx)))
		}
		f.replicas = append(f.replicas, &replica{Engine: e})
	}
	if len(f.replicas) == 0 {
		return nil, errors.New("fleet: no replicas: want at least one")
	}
	return f, nil
}

// Engines are the replicas' engines, in order.
func (f *Fleet) Engines() (list []*actors.Engine) {
	for _, r := range f.replicas {
		list = append(list, r.Engine)
	}
	return list
}

// Submit hands a request to the replica with the least to do, of equals to the first; where that one is full, or has
// ended, to the next. Its errors are those of actors.Engine: sched.ErrFull when all are full.
func (f *Fleet) Submit(ctx context.Context, r sched.Request) (*Stream, error) {
	cost := len(r.Prompt) + r.MaxTokens
	tried := make([]bool, len(f.replicas))
	var refused error
	for range f.replicas {
		i := f.take(tried, cost)
		tried[i] = true
		one := f.replicas[i]
		stream, err := one.Submit(ctx, r)
		if err == nil {
			return f.follow(ctx, stream, i, cost), nil
		}
		f.give(i, cost)
		if !errors.Is(err, sched.ErrFull) && !one.ended(ctx, err) {
			return nil, err // none of them will have it
		}
		if refused == nil || errors.Is(err, sched.ErrFull) { // one that is full may have room later
			refused = err
		}
	}
	return nil, refused
}

// take chooses a replica and counts a request as its own.
func (f *Fleet) take(tried []bool, cost int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	best := -1
	for i, r := range f.replicas {
		if !tried[i] && (best < 0 || r.load < f.replicas[best].load) {
			best = i
		}
	}
	f.replicas[best].load += cost
	return best
}

// give takes work off a replica's account.
func (f *Fleet) give(i, cost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[i].load -= cost
}

// ended reports whether the engine has ended, and refuses requests with this error.
func (r *replica) ended(ctx context.Context, err error) bool {
	_, reason := r.Engine.Stats(ctx)
	return reason != nil && ctx.Err() == nil && errors.Is(err, reason)
}

// Stats are those of all replicas together; those that have ended are not in it, and an error where all have.
func (f *Fleet) Stats(ctx context.Context) (sum actors.Stats, err error) {
	n := 0
	for _, r := range f.replicas {
		s, e := r.Engine.Stats(ctx)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		add(&sum, s)
		n++
	}
	if n > 0 && ctx.Err() == nil {
		err = nil
	}
	return sum, err
}

// add adds a replica's stats; its devices are numbered on behind those before it.
func add(sum *actors.Stats, s actors.Stats) {
	a, b := &sum.Sched, s.Sched
	a.Waiting, a.Running, a.InFlight = a.Waiting+b.Waiting, a.Running+b.Running, a.InFlight+b.InFlight
	a.Batches, a.PromptRows, a.DecodeRows, a.Tokens = a.Batches+b.Batches, a.PromptRows+b.PromptRows, a.DecodeRows+b.DecodeRows, a.Tokens+b.Tokens
	a.Cache.Blocks, a.Cache.Lent, a.Cache.Most = a.Cache.Blocks+b.Cache.Blocks, a.Cache.Lent+b.Cache.Lent, a.Cache.Most+b.Cache.Most
	sum.Credits += s.Credits
	for _, st := range s.Stages {
		st.Device += len(sum.Devices)
		sum.Stages = append(sum.Stages, st)
	}
	sum.Devices = append(sum.Devices, s.Devices...)
	l, m := &sum.Losses, s.Losses
	l.Deaths, l.Recoveries, l.Replayed = l.Deaths+m.Deaths, l.Recoveries+m.Recoveries, l.Replayed+m.Replayed
	l.Resent, l.GivenUp, l.Longest = l.Resent+m.Resent, l.GivenUp+m.GivenUp, max(l.Longest, m.Longest)
}

// Routing is what the routers of all replicas have counted together.
func (f *Fleet) Routing(ctx context.Context) (sum router.Counters, err error) {
	for i, r := range f.replicas {
		c, err := r.Engine.Routing(ctx)
		if err != nil {
			return sum, err
		}
		if i == 0 {
			sum = c
		} else {
			sum = sum.Add(&c)
		}
	}
	return sum, nil
}

// Suspects are those of one replica: generations of kernels are each engine's own.
func (f *Fleet) Suspects(replica int) []actors.Suspect { return f.replicas[replica].Suspects() }

// Stop stops all engines at once; ctx bounds the wait, as that of actors.Engine.
func (f *Fleet) Stop(ctx context.Context) error {
	errs := make([]error, len(f.replicas))
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		wg.Go(func() { errs[i] = r.Engine.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
