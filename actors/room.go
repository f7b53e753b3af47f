package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// room is what has been opened together on a device of this process: stages, experts, and the libraries that compute
// them. What comes to the device later has a room of its own, on the same lane.
type room struct {
	device  int // of the engine
	index   int // in the list of rooms
	lane    runner
	libs    *stages.Libraries
	stages  map[int]*stages.Stage // by place in the pipeline
	experts *stages.Experts
	unload  func() error // gives weights back that were loaded for it; nil: none were
}

// contents are parts that live together.
type contents struct {
	stages  []located
	experts []Part
}

// located is a stage with its place in the pipeline.
type located struct {
	index int
	span  stages.Span
}

// on is what a plan puts on a device. Its stages have the numbers of their places.
func on(p place.Plan, device int) (c contents) {
	for i, s := range p.Stages {
		if s.Device == device {
			c.stages = append(c.stages, located{i, s.Span})
		}
	}
	for layer, homes := range p.Experts {
		for x, home := range homes {
			if home == device {
				c.experts = append(c.experts, Part{ExpertPart, layer, x})
			}
		}
	}
	return c
}

// of is what parts are, but for routers, which are with their stages.
func (e *Engine) contents(parts []Part) (c contents) {
	for _, p := range parts {
		switch p.Kind {
		case StagePart:
			c.stages = append(c.stages, located{p.Index, e.seats[p.Index].span})
		case ExpertPart:
			c.experts = append(c.experts, p)
		}
	}
	return c
}

func (c contents) spans() (spans []stages.Span) {
	for _, s := range c.stages {
		spans = append(spans, s.span)
	}
	return spans
}

// has tells whether an expert is among them.
func (c contents) has(layer, expert int) bool {
	return slices.Contains(c.experts, Part{ExpertPart, layer, expert})
}

// open opens libraries, stages and experts. What was opened before an error is left to close.
func (r *room) open(ctx context.Context, o *Options, plan model.Plan, w stages.Weights, serve kernels.Binding, threads kernels.Threads, c contents, b *binder) error {
	r.libs = stages.OpenLibraries(o.Arith, serve, threads)
	r.libs.Wrap, r.libs.Limits, r.libs.Verify = o.Wrap, o.Sched.Limits(), o.VerifyFraction
	lane := r.libs.Programs()
	lane.Clock = func() int64 { return int64(time.Since(epoch)) }
	lane.Tell = func(report stages.Report) { b.hear(r.index, report) }
	r.experts = stages.NewExperts(plan)
	r.stages = map[int]*stages.Stage{}
	size := o.cacheSize()
	for _, s := range c.stages {
		if err := ctx.Err(); err != nil {
			return err
		}
		opened, err := stages.NewStage(o.Model, plan, s.span, w, r.libs, size, nil)
		if err != nil {
			return fmt.Errorf("actors: device %d: stage %d: %w", r.device, s.index, err)
		}
		r.stages[s.index] = opened
	}
	for _, p := range c.experts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.experts.Add(p.Index, p.Expert, w, r.libs); err != nil {
			return fmt.Errorf("actors: device %d: %w", r.device, err)
		}
	}
	return nil
}

func (o *Options) cacheSize() stages.CacheSize {
	return stages.CacheSize{Blocks: o.Sched.Blocks, Half: stages.HalfCache(o.Arith)}
}

// close gives back what open took, in reverse. No kernel may be running.
func (r *room) close() error {
	var errs []error
	for _, s := range r.stages {
		errs = append(errs, s.Close())
	}
	if r.libs != nil {
		errs = append(errs, r.libs.Close())
	}
	if r.unload != nil {
		errs = append(errs, r.unload())
	}
	return errors.Join(errs...)
}

// rooms is the list of them; nil stands where one was closed. It is written by the binder's goroutine, or before that
// runs, and read by anyone.
type rooms struct{ list atomic.Pointer[[]*room] }

func (r *rooms) all() []*room {
	if list := r.list.Load(); list != nil {
		return *list
	}
	return nil
}

// free is the first place without a room.
func (r *rooms) free() int {
	all := r.all()
	if i := slices.Index(all, nil); i >= 0 {
		return i
	}
	return len(all)
}

// put has a room, or none, in a place.
func (r *rooms) put(at int, x *room) {
	list := slices.Clone(r.all())
	if at == len(list) {
		list = append(list, nil)
	}
	list[at] = x
	r.list.Store(&list)
}

// furnish opens parts on a device of this process while the engine runs, with a program for every generation that
// batches are on their way in. It does not touch what computes meanwhile.
func (b *binder) furnish(ctx context.Context, device int, w stages.Weights, unload func() error, c contents) (*room, error) {
	d := b.engine.devices[device]
	r := &room{device: device, lane: d.lane, unload: unload}
	done := make(chan error, 1)
	if err := b.ask(ctx, func() { done <- b.install(ctx, r, d.KernelThreads(), w, c) }); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if err := <-done; err != nil {
		return nil, err
	}
	return r, nil
}

// install is furnish on the binder's goroutine.
func (b *binder) install(ctx context.Context, r *room, threads kernels.Threads, w stages.Weights, c contents) (err error) {
	r.index = b.engine.rooms.free()
	programs := make([]*stages.Program, len(b.live))
	b.aside(func() {
		if err = r.open(ctx, b.options, b.engine.plan, w, b.serve, threads, c, b); err != nil {
			return
		}
		for i := range b.live {
			if programs[i], err = r.libs.Compile(b.live[i].number, b.live[i].Bindings); err != nil {
				return
			}
		}
		lane := r.libs.Programs()
		lane.Drop(r.libs.First())
		if err = r.libs.Release(r.libs.First()); err != nil {
			return
		}
		for _, p := range programs {
			lane.Install(p)
		}
	})
	if err != nil {
		return errors.Join(err, r.close())
	}
	for i := range b.live {
		b.live[i].put(r.index, programs[i])
	}
	b.engine.rooms.put(r.index, r)
	return nil
}

// clear closes a room in which nobody computes any more.
func (b *binder) clear(ctx context.Context, r *room) error {
	done := make(chan error, 1)
	err := b.ask(ctx, func() {
		b.engine.rooms.put(r.index, nil)
		for i := range b.live {
			b.live[i].put(r.index, nil)
		}
		for i := range b.warmed {
			b.warmed[i].put(r.index, nil)
		}
		b.aside(func() {
			var err error
			r.lane.do(func() { err = r.close() })
			done <- err
		})
	})
	if err != nil {
		return err
	}
	return <-done
}
