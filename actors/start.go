package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

// Options say what to start.
type Options struct {
	Model     model.Config
	Weights   stages.Weights // used in place until Stop has returned
	Placement place.Plan
	Arith     kernels.Arith
	Binding   kernels.Binding
	// Sched holds the limits. Start fills in Model and Stages, and Batches when it is 0: one batch more
	// than stages, so that none waits for the head, or a single one when nothing can run beside it.
	Sched sched.Config
	Trace Trace        // may be nil
	Wrap  stages.Wrap  // may be nil: around every op's kernel, for measurements
	Look  stages.Look  // may be nil; on the lanes of stages, several at once, but of a layer one after the other
	Log   *slog.Logger // may be nil
	// NoTelemetry leaves the routing uncounted, to measure what counting costs.
	NoTelemetry bool

	// Events is told what becomes of bindings, in order, on a goroutine of its own. Stop waits for it. May be nil.
	Events func(KernelEvent)
	// VerifyFraction is the share of batches for which the library before the one that serves runs beside it and is
	// compared, as long as there is one. 0: 1/64; below 0: none.
	VerifyFraction float64
	// NoJournal keeps no hidden states at the boundaries of stages. A stage that dies then has all stages up to it
	// compute again from the tokens.
	NoJournal bool
	// Net reaches the workers that have devices of the placement; nil: none has. It is the caller's.
	Net *Net
	// Spare are devices that have nothing to do yet: they take over what others lose.
	Spare []place.Device
	// Load opens weights for parts that come to this process later; nil: Weights has them all.
	Load Load
	// OnLoss is what becomes of requests when no device can take what was lost with a worker.
	OnLoss OnLoss
	// Identity is that of the checkpoint, and Build the version of the program: workers must have the same.
	Identity, Build string
	// Lend reads the model's files for workers that have none; nil: they need their own. Fetching is told of what each
	// fetches, in bytes; it returns promptly, and may be nil.
	Lend     Source
	Fetching func(worker string, done, total int64)
	// Silence is after how long without a sign of life a worker is taken for lost. 0: 3 s.
	Silence time.Duration
	// Chaos has parts die, for trials. May be nil.
	Chaos *Chaos
	// MaxFaults is how often a promoted binding may fail before it is rolled back for good. 0: 3.
	MaxFaults int
	// Backoff is how long a library that failed is left alone, doubled each time up to 64 times as long. 0: 100 ms.
	Backoff time.Duration

	newLane func(device int) runner // nil: those of Net
}

// Start opens every device on its own lane, all at once, and spawns the actors: experts, routers, stages
// from last to first, head. When anything fails, or ctx is cancelled meanwhile, what was opened is closed
// again.
func Start(ctx context.Context, o Options) (*Engine, error) {
	if err := o.Placement.Check(o.Model); err != nil {
		return nil, err
	}
	if o.Chaos != nil {
		if err := o.Chaos.Check(len(o.Placement.Stages), o.Model.Model.NumLayers, o.Model.Model.NumExperts); err != nil {
			return nil, err
		}
	}
	o.fill()
	plan := model.NewPlan(o.Model)
	scheduler, err := sched.New(o.Sched)
	if err != nil {
		return nil, err
	}
	e := &Engine{log: o.Log, ended: make(chan struct{}), stopped: make(chan struct{}), plan: plan, number: engines.Add(1)}
	if o.Net != nil {
		e.system = o.Net.system
	} else {
		e.system = newSystem()
	}
	e.binder, e.keeper = newBinder(e, &o), newKeeper(e, &o)
	e.makeSeats(&o)
	if err = e.connect(ctx, &o); err == nil {
		err = e.checkHarms(o.Chaos)
	}
	if err == nil {
		err = e.openDevices(ctx, &o, plan)
	}
	if err == nil {
		e.binder.adopt()
		err = e.makeCredits(&o, plan)
	}
	if err == nil {
		err = e.makeJournals(&o)
	}
	if err == nil {
		err = e.spawnAll(&o, scheduler)
	}
	if back := e.binder.back; back != nil {
		e.log.Info("lent libraries have built-in ones behind them", slog.String("binding", o.Binding.String()), slog.String("behind", back.String()))
	}
	if err != nil {
		e.finish(err) // nobody mends an engine that is not whole
	}
	go e.binder.run()
	go e.keeper.run()
	if err != nil {
		return nil, errors.Join(err, e.giveBack())
	}
	e.log.Info("started", slog.Int("devices", len(e.devices)), slog.Int("stages", len(e.seats)),
		slog.Int("batches", o.Sched.Batches), slog.Int("rows", o.Sched.Rows), slog.Int("blocks", o.Sched.Blocks))
	return e, nil
}

func (o *Options) fill() {
	o.fillShared()
	o.Sched.Model, o.Sched.Stages = o.Model, len(o.Placement.Stages)
	if o.Sched.Batches == 0 {
		o.Sched.Batches = len(o.Placement.Stages) + 1
		if len(o.Placement.Stages) == 1 && len(o.Placement.Devices) == 1 {
			o.Sched.Batches = 1
		}
	}
}

// fillShared fills in what the crews of workers have as well.
func (o *Options) fillShared() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With(slog.String("part", "actors"))
	if o.VerifyFraction == 0 {
		o.VerifyFraction = 1. / 64
	}
	if o.MaxFaults <= 0 {
		o.MaxFaults = 3
	}
	if o.Backoff <= 0 {
		o.Backoff = 100 * time.Millisecond
	}
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	if o.Wrap == nil {
		o.Wrap = o.Net.wrap()
	}
}

// lane is that of a device, here or of another host.
func (o *Options) lane(i int, d place.Device) runner {
	if o.newLane != nil {
		return o.newLane(i)
	}
	return o.Net.lane(i, d.Host != "")
}

func (e *Engine) openDevices(ctx context.Context, o *Options, plan model.Plan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(o.Placement.Devices))
	var wg sync.WaitGroup
	for i, d := range slices.Concat(o.Placement.Devices, o.Spare, e.idle(o)) {
		e.devices = append(e.devices, &device{Device: d, lane: o.lane(i, d), host: e.host(d.Host)})
	}
	for i, dev := range e.devices[:len(o.Placement.Devices)] {
		r := &room{device: i, lane: dev.lane}
		if dev.host == nil {
			r.index = e.rooms.free()
			e.rooms.put(r.index, r)
		}
		wg.Go(func() {
			if dev.host != nil {
				errs[i] = e.keeper.station(ctx, i)
			} else {
				dev.lane.do(func() {
					errs[i] = r.open(ctx, o, plan, o.Weights, o.Binding, dev.KernelThreads(), on(o.Placement, i), e.binder)
				})
			}
			if errs[i] != nil {
				cancel() // the others need not go on
			}
		})
	}
	wg.Wait()
	return firstCause(errs)
}

// firstCause is the first error that is not a mere cancellation, if there is one.
func firstCause(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (e *Engine) makeCredits(o *Options, plan model.Plan) error {
	for i := range o.Sched.Batches {
		b, err := stages.NewBatch(plan, o.Sched.Limits())
		if err != nil {
			return fmt.Errorf("actors: batch %d of %d: %w", i, o.Sched.Batches, err)
		}
		e.credits = append(e.credits, newCredit(i, b, o.Model.Model.NumExperts, &e.epoch))
	}
	return nil
}

// makeSeats makes the places of stages.
func (e *Engine) makeSeats(o *Options) {
	n := len(o.Placement.Stages)
	if !o.NoTelemetry {
		e.count = make([]*router.Counters, n)
	}
	for i, st := range o.Placement.Stages {
		s := &seat{index: i, span: st.Span, trace: o.Trace}
		s.device.Store(int32(st.Device))
		e.seats = append(e.seats, s)
		e.newCounters(o, i)
	}
	k := e.keeper
	k.takers, k.routers = make([]taker, n), make([]*routerActor, n)
	for _, homes := range o.Placement.Experts {
		k.homes = append(k.homes, slices.Clone(homes))
	}
}

// spawnAll spawns the actors, each after those it sends to.
func (e *Engine) spawnAll(o *Options, scheduler *sched.Scheduler) error {
	if err := e.spawnExperts(); err != nil {
		return err
	}
	for i := len(e.seats) - 1; i >= 0; i-- {
		if err := e.spawnStage(i); err != nil {
			return err
		}
	}
	// On the lane of the first stage, so that one stream on one device never crosses threads.
	first := e.devices[o.Placement.Stages[0].Device]
	var err error
	e.head, err = e.spawn(e.name("head"), newHead(e, scheduler, o.Chaos), first.lane, func(reason any, stack []byte, _ any) { e.panicked("head", reason, stack) })
	return err
}

// spawnStage spawns a stage with its router, or what stands for it.
func (e *Engine) spawnStage(i int) error {
	k, s := e.keeper, e.seats[i]
	s.before, s.behind = e.journals[i], e.journals[i+1]
	p := Part{Kind: StagePart, Index: i}
	if t := k.troops[p]; t != nil {
		return k.seatFar(t, p, 0)
	}
	return k.seatStage(e.roomOf(int(s.device.Load())), p, 0)
}

// spawnExperts spawns one actor for each expert of each layer, on the lane of its home.
func (e *Engine) spawnExperts() error {
	k := e.keeper
	for layer, homes := range k.homes {
		k.experts = append(k.experts, make([]*actor.PID, len(homes)))
		for x, home := range homes {
			p := Part{ExpertPart, layer, x}
			if t := k.troops[p]; t != nil {
				if err := k.seatFar(t, p, 0); err != nil {
					return err
				}
				continue
			}
			if err := k.seatExpert(e.roomOf(home), p, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
