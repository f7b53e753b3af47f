package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// device is one memory with its threads, its lane, and what lives there.
type device struct {
	place.Device
	lane    runner
	host    *host // that has it; nil: it is in this process
	libs    *stages.Libraries
	stages  map[int]*stages.Stage // by place in the pipeline
	experts *stages.Experts
}

// runner is a lane as the engine sees it; tests have another one that shuffles turns.
type runner interface {
	actor.Dispatcher
	do(func())           // on the lane, and waits for it
	busy() time.Duration // spent in turns
	stop()               // after all queued turns
}

// open opens libraries, stages and experts, on the device's own lane. What was opened before an error is
// left to close.
func (d *device) open(ctx context.Context, o *Options, plan model.Plan, index int, b *binder) error {
	d.libs = stages.OpenLibraries(o.Arith, o.Binding, d.KernelThreads())
	d.libs.Wrap, d.libs.Limits, d.libs.Verify = o.Wrap, o.Sched.Limits(), o.VerifyFraction
	lane := d.libs.Programs()
	lane.Clock = func() int64 { return int64(time.Since(epoch)) }
	lane.Tell = func(r stages.Report) { b.hear(index, r) }
	d.experts = stages.NewExperts(plan)
	d.stages = map[int]*stages.Stage{}
	size := stages.CacheSize{Blocks: o.Sched.Blocks, Half: stages.HalfCache(o.Arith)}
	for i, s := range o.Placement.Stages {
		if s.Device != index {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		opened, err := stages.NewStage(o.Model, plan, s.Span, o.Weights, d.libs, size, nil)
		if err != nil {
			return fmt.Errorf("actors: device %d (%s): stage %d: %w", index, d.Name, i, err)
		}
		d.stages[i] = opened
	}
	for layer, homes := range o.Placement.Experts {
		for e, home := range homes {
			if home != index {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.experts.Add(layer, e, o.Weights, d.libs); err != nil {
				return fmt.Errorf("actors: device %d (%s): %w", index, d.Name, err)
			}
		}
	}
	return nil
}

// close gives back what open took, in reverse. No kernel may be running.
func (d *device) close() error {
	var errs []error
	for _, s := range d.stages {
		errs = append(errs, s.Close())
	}
	if d.libs != nil {
		errs = append(errs, d.libs.Close())
	}
	return errors.Join(errs...)
}
