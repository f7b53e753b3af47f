package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/fleet"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/lab"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/sched"
)

const (
	defaultRows     = 128 // --prefill-chunk: as many rows as make a matrix worth reading
	defaultMaxBatch = 8   // --max-batch
	maxRows         = 1 << 16
	maxMicrobatches = 1 << 10
	maxThreads      = 1 << 12
	// drawBytes bounds the logits of a batch: where every position is drawn from, as many draws fit a
	// batch as fill this.
	drawBytes = 64 << 20
	// stopPatience is how long the end of the program waits for the engine's.
	stopPatience = 10 * time.Second
)

const (
	engineCategory  = "Engine"
	kernelsCategory = "Kernels"
)

// engineFlags say where and how a model is computed.
func engineFlags() []cli.Flag {
	return append([]cli.Flag{
		modelFlag(),
		devicesFlag(engineCategory, "`LIST` of devices, a stage each: cpu, or cpu:1,cpu:1 with threads, cpu:2/4 with others for prefill"),
		&cli.IntFlag{Name: "threads", Usage: "threads in all, for devices that state none", DefaultText: "the cores, less one from 8 on", Category: engineCategory},
		&cli.IntFlag{Name: "threads-prefill", Usage: "the same, for batches of many rows", DefaultText: "as --threads", Category: engineCategory},
		&cli.StringFlag{Name: "expert-devices", Usage: "`LIST` of devices for experts alone", DefaultText: "none", Category: engineCategory},
		placementFlag(engineCategory),
		&cli.IntFlag{Name: "stages", Usage: "layer groups in the pipeline", DefaultText: "one a device", Category: engineCategory},
		&cli.StringFlag{Name: "kernels", Usage: "`BINDING` of ops to kernel libraries: cpu/generic, attend@0-3=ref, or expert=plugin:mine", DefaultText: "the best", Category: kernelsCategory},
		&cli.StringFlag{Name: "arith", Value: "int8", Usage: "`NAME` arithmetic: exact, int8 or reference", Category: engineCategory},
		&cli.IntFlag{Name: "prefill-chunk", Value: defaultRows, Usage: "most tokens computed at a time", Category: engineCategory},
		&cli.IntFlag{Name: "max-batch", Value: defaultMaxBatch, Usage: "requests that run at a time", Category: engineCategory},
		&cli.IntFlag{Name: "microbatches", Usage: "batches in flight", DefaultText: "one more than stages, one for a single device", Category: engineCategory},
		&cli.StringFlag{Name: "trace", Usage: "`FILE` for a Chrome trace of stages and experts (chrome://tracing, ui.perfetto.dev)", TakesFile: true, Category: engineCategory},
		&cli.BoolFlag{Name: "telemetry", Value: true, Usage: "count which experts are used; --telemetry=false measures what that costs", Category: engineCategory},
		&cli.BoolFlag{Name: "stage-journal", Value: true, Usage: "keep what passes between stages, so that one that dies computes no more again than its own layers", Category: engineCategory},
		&cli.BoolFlag{Name: "shm", Usage: "copy the checkpoint into /dev/shm first; programs share one copy, the last removes it", Category: engineCategory},
		repackFlag(),
		overlayFlag(engineCategory),
	}, slices.Concat(workerFlags(), pluginFlags(kernelsCategory), kernelFlags())...)
}

// launch is what an engine is started with: the model and the engine flags, checked as far as that needs no
// weights.
type launch struct {
	dir    directory
	config model.Config // with the overlay
	rearranged
	placement placed
	arith     kernels.Arith
	binding   kernels.Binding
	host      *host // of plugins
	kernels   kernelOptions
	shm       bool
	uncounted bool                  // routing is not counted
	forgetful bool                  // without journals
	workers   *company              // nil: all is computed here
	looksAt   bool                  // all weights are looked at, also those that only workers compute with
	onLoss    actors.OnLoss         // of a worker, and nobody can take over
	silence   time.Duration         // after which a worker is lost
	need      load.Need             // of the model's arrays; nil: all
	chaos     *actors.Chaos         // nil: nobody is killed
	repack    string                // auto, on, off
	memory    func() (int64, error) // that repacking may take; nil: what the system has left
	trace     string                // file, "" for none
	look      stages.Look           // nil: nobody looks at batches
	limits    sched.Config
}

// readLaunch reads the flags that say what to start; limit completes them.
func (p *program) readLaunch(c *cli.Context) (l launch, err error) {
	if l.dir, err = modelDir(c.String("model")); err != nil {
		return l, err
	}
	if l.config, l.rearranged, err = l.dir.rearrange(c.Context, c.String("overlay")); err != nil {
		return l, err
	}
	l.shm, l.trace, l.uncounted, l.forgetful = c.Bool("shm"), c.String("trace"), !c.Bool("telemetry"), !c.Bool("stage-journal")
	if l.repack, err = readRepack(c); err != nil {
		return l, err
	}
	if l.arith, err = kernels.ParseArith(c.String("arith")); err != nil {
		return l, badFlag("arith", err)
	}
	if l.host, err = p.readPlugins(c); err != nil {
		return l, err
	}
	l.host.layers = l.config.Model.NumLayers
	if l.binding, err = l.host.binding(c.Context, c.String("kernels")); err != nil {
		return l, badFlag("kernels", err)
	}
	if l.kernels, err = readKernelOptions(c); err != nil {
		return l, err
	}
	file, err := readPlacementFile(c)
	if err != nil {
		return l, err
	}
	if err := l.readLosses(c); err != nil {
		return l, err
	}
	if l.workers, err = p.readWorkers(c); err != nil {
		return l, err
	}
	defer func() {
		if err != nil {
			l.workers.close()
		}
	}()
	if l.placement, err = placeModel(c, file, l.config, nil, l.workers); err != nil {
		return l, err
	}
	if l.workers != nil && l.replicas() == 1 { // who has no layers takes over when others are lost
		for _, d := range l.placement.Spare {
			if d.Host != "" {
				l.workers.spares = append(l.workers.spares, d)
			}
		}
	}
	if err := l.checkReplicas(c); err != nil {
		return l, err
	}
	if err = p.reachHosts(c, &l); err != nil {
		return l, err
	}
	p.tellPlacement(l.placement)
	rows, err := intWithin(c, "prefill-chunk", maxRows)
	if err != nil {
		return l, err
	}
	sequences, err := readMaxBatch(c, file)
	if err != nil {
		return l, err
	}
	l.limits = sched.Config{Model: l.config, Stages: len(l.placement.Stages), Rows: rows, Sequences: sequences}
	if c.IsSet("microbatches") {
		if l.limits.Batches, err = intWithin(c, "microbatches", maxMicrobatches); err != nil {
			return l, err
		}
	}
	l.limits.PadSizes, err = readPadSizes(c, l.config)
	return l, err
}

// intWithin reads a flag that is 1 to most.
func intWithin(c *cli.Context, name string, most int) (int, error) {
	v := c.Int(name)
	if v < 1 || v > most {
		return 0, badFlag(name, fmt.Errorf("%d, want 1 to %d", v, most))
	}
	return v, nil
}

func readPadSizes(c *cli.Context, config model.Config) ([]int, error) {
	list := c.String("pad-sizes")
	if list == "" {
		return nil, nil
	}
	sizes, err := parseInts(list)
	if err == nil && (!slices.IsSorted(sizes) || sizes[0] < 1 || sizes[len(sizes)-1] > config.SequenceLen) {
		err = fmt.Errorf("%s, want ascending sizes from 1 to the context of %d", list, config.SequenceLen)
	}
	if err != nil {
		return nil, badFlag("pad-sizes", err)
	}
	return sizes, nil
}

// manyCores is from where on one is left to other programs: the slowest thread holds all others up.
const manyCores = 8

// readThreads reads --threads and --threads-prefill.
func readThreads(c *cli.Context) (kernels.Threads, error) {
	n := runtime.GOMAXPROCS(0)
	if n >= manyCores {
		n--
	}
	t := kernels.SameThreads(n)
	var err error
	if c.IsSet("threads") {
		if n, err = intWithin(c, "threads", maxThreads); err != nil {
			return t, err
		}
		t = kernels.SameThreads(n)
	}
	if c.IsSet("threads-prefill") {
		t.Prefill, err = intWithin(c, "threads-prefill", maxThreads)
	}
	return t, err
}

// limit bounds the engine for these requests, so that no more cache is reserved than they can use; without
// any, for one at a time of whatever length. drawn tells that every position is drawn from, not the last
// one alone.
func (l *launch) limit(requests []sched.Request, drawn bool) {
	m, positions := &l.limits, l.config.SequenceLen
	if len(requests) > 0 {
		positions = 1
	}
	for _, r := range requests {
		if len(r.Prompt) > 0 {
			positions = max(positions, min(m.Positions(r), l.config.SequenceLen))
		}
	}
	m.Sequences = min(m.Sequences, max((len(requests)+l.replicas()-1)/l.replicas(), 1))
	m.Queue = 2 * m.Sequences
	m.Blocks = m.Sequences * ((positions + kernels.BlockTokens - 1) / kernels.BlockTokens)
	m.Draws = m.Sequences
	if drawn {
		m.Draws = max(1, min(m.Rows, drawBytes/(4*l.config.VocabSize)))
	}
}

// check says what of a request can be said without running it, so that a model is not loaded for nothing.
func (l *launch) check(r sched.Request) error {
	limits := l.limits
	limits.Batches = max(limits.Batches, 1) // the engine's own choice does not matter here
	s, err := sched.New(limits)
	if err != nil {
		return err
	}
	return s.Check(r)
}

// concurrency is how many requests are worth handing in at a time: as many wait as run.
func (l *launch) concurrency() int { return l.replicas() * 2 * l.limits.Sequences }

// session is running engines with the model below them.
type session struct {
	*actors.Engine // the first replica's
	fleet          *fleet.Fleet
	model          *opened
	trace          *traceFile   // may be nil
	watch          *kernelWatch // of its kernels

	workers *company    // may be nil
	whole   *load.Model // of workers' layers too, to look at; nil: not wanted, or model has all
}

// weights are all of the model's, where the launch looks at them.
func (s *session) weights() stages.Weights {
	if s.whole != nil {
		return s.whole.Weights
	}
	return s.model.Weights
}

// identity names the whole checkpoint, of which this program may have a part.
func (s *session) identity(c model.Config) (string, error) {
	if s.model.identity != "" {
		return s.model.identity, nil
	}
	return lab.Identity(c, s.model.Weights)
}

// start opens the model and starts the engine.
func (p *program) start(ctx context.Context, l launch) (_ *session, err error) {
	s := &session{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.giveBack())
		}
	}()
	if s.watch, err = p.watchKernels(l); err != nil {
		return nil, err
	}
	if l.workers != nil {
		l.need = l.placement.here(l.config)
	}
	if s.model, err = p.openModel(ctx, l); err != nil {
		return nil, err
	}
	if l.workers != nil {
		if s.model.identity, err = p.identity(ctx, l); err != nil {
			return nil, err
		}
		if l.looksAt {
			if s.whole, err = p.whole(ctx, l); err != nil {
				return nil, err
			}
		}
	}
	var turns actors.Trace
	if l.trace != "" {
		if s.trace, err = newTraceFile(l.trace, l.placement.Plan); err != nil {
			return nil, err
		}
		turns = s.trace.turn
	}
	s.workers = l.workers
	if s.fleet, err = fleet.Start(ctx, p.replicaOptions(l, s.model, turns, s.watch)); err != nil {
		return nil, err
	}
	s.Engine = s.fleet.Engines()[0]
	s.watch.engine = steeredEngine{s.Engine}
	return s, nil
}

// engineOptions are what an engine of this launch is started with.
func (p *program) engineOptions(l launch, m *opened, turns actors.Trace, wrap stages.Wrap, w *kernelWatch) actors.Options {
	o := actors.Options{Model: l.config, Weights: m.Weights, Placement: l.placement.Plan, Arith: l.arith,
		Binding: l.binding, Sched: l.limits, Trace: turns, Wrap: wrap, Look: l.look, Log: p.logs.plain("actors"), NoTelemetry: l.uncounted,
		NoJournal: l.forgetful, Chaos: l.chaos}
	l.kernels.put(&o, w)
	if l.workers != nil {
		o.Net, o.Spare, o.Identity, o.Build = l.workers.net, l.workers.spares, m.identity, readBuild().protocol()
		o.Load, o.OnLoss, o.Silence = p.loader(l), l.onLoss, l.silence
		o.Lend, o.Fetching = p.lend(l), p.tellFetching
	}
	return o
}

// Close stops the engine and gives the model back, in this order.
func (s *session) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := s.fleet.Stop(ctx); err != nil {
		return err // the weights may still be in use
	}
	return s.giveBack()
}

// giveBack gives back what an engine that has ended, or never was, had.
func (s *session) giveBack() error {
	err := errors.Join(s.watch.Close(), s.trace.Close())
	if s.model != nil {
		err = errors.Join(err, s.model.Close())
	}
	if s.whole != nil {
		err = errors.Join(err, s.whole.Close())
	}
	s.workers.close()
	return err
}

// closeInto closes at the end of a function and keeps the first error.
func closeInto(err *error, close func() error) {
	if e := close(); *err == nil {
		*err = e
	}
}
