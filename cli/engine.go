package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages/place"
	"troupe/stages/sched"
)

const (
	defaultRows     = 128 // --prefill-chunk: as many rows as make a matrix worth reading
	defaultMaxBatch = 8   // --max-batch
	maxRows         = 1 << 16
	// drawBytes bounds the logits of a batch: where every position is drawn from, as many draws fit a
	// batch as fill this.
	drawBytes = 64 << 20
	// stopPatience is how long the end of the program waits for the engine's.
	stopPatience = 10 * time.Second
)

const engineCategory = "Engine"

// engineFlags say where and how a model is computed.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "devices", Value: "cpu", Usage: "`LIST` of devices, a stage each: cpu, or cpu:1,cpu:1 with threads", Category: engineCategory},
		&cli.StringFlag{Name: "expert-devices", Usage: "`LIST` of devices for experts alone", DefaultText: "none", Category: engineCategory},
		&cli.StringFlag{Name: "placement", Usage: "`NAME` where experts live: " + strategyNames(), DefaultText: "local", Category: engineCategory},
		&cli.IntFlag{Name: "stages", Usage: "layer groups in the pipeline", DefaultText: "one a device", Category: engineCategory},
		&cli.StringFlag{Name: "kernels", Usage: "`BINDING` of ops to kernel libraries: cpu/generic, or attend@0-3=ref", DefaultText: "the best", Category: engineCategory},
		&cli.StringFlag{Name: "arith", Value: "int8", Usage: "`NAME` arithmetic: exact, int8 or reference", Category: engineCategory},
		&cli.IntFlag{Name: "prefill-chunk", Value: defaultRows, Usage: "most tokens computed at a time", Category: engineCategory},
		&cli.IntFlag{Name: "max-batch", Value: defaultMaxBatch, Usage: "requests that run at a time", Category: engineCategory},
		&cli.BoolFlag{Name: "shm", Usage: "copy the checkpoint into /dev/shm first, and remove it at the end", Category: engineCategory},
	}
}

// engineOptions are the engine flags, checked as far as that needs no weights.
type engineOptions struct {
	arith     kernels.Arith
	binding   kernels.Binding
	placement place.Plan
	rows      int
	sequences int
	padSizes  []int
	shm       bool
}

func readEngine(c *cli.Context, config model.Config) (engineOptions, error) {
	o := engineOptions{rows: c.Int("prefill-chunk"), sequences: c.Int("max-batch"), shm: c.Bool("shm")}
	var err error
	if o.arith, err = kernels.ParseArith(c.String("arith")); err != nil {
		return o, badFlag("arith", err)
	}
	if o.binding, err = kernels.ParseBinding(c.String("kernels")); err != nil {
		return o, badFlag("kernels", err)
	}
	if o.placement, err = readPlacement(c, config, true); err != nil {
		return o, err
	}
	for _, v := range []struct {
		name  string
		value int
	}{{"prefill-chunk", o.rows}, {"max-batch", o.sequences}} {
		if v.value < 1 || v.value > maxRows {
			return o, badFlag(v.name, fmt.Errorf("%d, want 1 to %d", v.value, maxRows))
		}
	}
	if list := c.String("pad-sizes"); list != "" {
		if o.padSizes, err = parseInts(list); err != nil {
			return o, badFlag("pad-sizes", err)
		}
		if !slices.IsSorted(o.padSizes) || o.padSizes[0] < 1 || o.padSizes[len(o.padSizes)-1] > config.SequenceLen {
			return o, badFlag("pad-sizes", fmt.Errorf("%s, want ascending sizes from 1 to the context of %d", list, config.SequenceLen))
		}
	}
	return o, nil
}

// readPlacement makes a plan of --devices, --expert-devices, --stages and --placement; a runnable one has
// only devices that are here.
func readPlacement(c *cli.Context, config model.Config, runnable bool) (place.Plan, error) {
	devices, err := place.ParseDevices(c.String("devices"))
	if err != nil {
		return place.Plan{}, badFlag("devices", err)
	}
	wishes := place.Options{Stages: c.Int("stages"), Strategy: c.String("placement")}
	if list := c.String("expert-devices"); list != "" {
		if wishes.ExpertDevices, err = place.ParseDevices(list); err != nil {
			return place.Plan{}, badFlag("expert-devices", err)
		}
	}
	if c.IsSet("stages") && wishes.Stages < 1 {
		return place.Plan{}, badFlag("stages", fmt.Errorf("%d, want 1 or more", wishes.Stages))
	}
	if runnable {
		all, err := place.Runnable(slices.Concat(devices, wishes.ExpertDevices), runtime.NumCPU())
		if err != nil {
			return place.Plan{}, &usageError{err: err}
		}
		devices, wishes.ExpertDevices = all[:len(devices)], all[len(devices):]
	}
	plan, err := place.Make(config, devices, wishes)
	if err != nil {
		return plan, &usageError{err: err}
	}
	return plan, nil
}

func strategyNames() string {
	var names []string
	for _, s := range place.Strategies() {
		names = append(names, s.Name+" ("+s.Doc+")")
	}
	return strings.Join(names, ", ")
}

// limits are the scheduler's: n requests of at most length tokens, prompt and continuation together.
// drawn tells that every position is drawn from, not the last one alone.
func (o engineOptions) limits(config model.Config, n, length int, drawn bool) sched.Config {
	sequences := min(o.sequences, max(n, 1))
	blocks := (min(length, config.SequenceLen) + kernels.BlockTokens - 1) / kernels.BlockTokens
	draws := sequences
	if drawn {
		draws = max(1, min(o.rows, drawBytes/(4*config.VocabSize)))
	}
	return sched.Config{Model: config, Stages: len(o.placement.Stages), Rows: o.rows, Draws: draws, Sequences: sequences, Queue: sequences, Blocks: sequences * blocks, PadSizes: o.padSizes}
}

// checkRequest says what of a request can be said without running it, so that a model is not loaded for nothing.
func checkRequest(limits sched.Config, r sched.Request) error {
	limits.Batches = 1 // the engine's own choice; it does not matter here
	s, err := sched.New(limits)
	if err != nil {
		return err
	}
	return s.Check(r)
}

// session is a running engine with the model below it.
type session struct {
	*actors.Engine
	model *opened
}

// startEngine opens the model and starts the engine.
func (p *program) startEngine(ctx context.Context, dir directory, config model.Config, o engineOptions, limits sched.Config) (*session, error) {
	m, err := p.openModel(ctx, dir, config, o.shm)
	if err != nil {
		return nil, err
	}
	e, err := actors.Start(ctx, actors.Options{Model: config, Weights: m.Weights, Placement: o.placement, Arith: o.arith,
		Binding: o.binding, Sched: limits, Log: p.logs.part("actors")})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &session{e, m}, nil
}

// Close stops the engine and gives the model back, in this order.
func (s *session) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		return err // the weights may still be in use
	}
	return s.model.Close()
}

// closeInto closes at the end of a function and keeps the first error.
func closeInto(err *error, close func() error) {
	if e := close(); *err == nil {
		*err = e
	}
}
