package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/kernels/cpu"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// Options say what is measured.
type Options struct {
	Model       model.Config
	Weights     stages.Weights // to count bytes
	Policy      router.Policy
	Prompt      int // tokens of each stream's prompt
	Generate    int // new tokens whose time is taken
	Streams     int // requests at a time
	Repetitions int
	Subjects    []Subject           // they take turns
	Progress    func(done, all int) // rounds; may be nil
	ProbeTime   time.Duration       // of one probe of each kind; 0: DefaultProbeTime
	ProbeBytes  int                 // that are read; 0: several times the caches
}

// DefaultProbeTime is long enough for every thread to be on its way.
const DefaultProbeTime = 60 * time.Millisecond

// Subject is one way of running the model.
type Subject struct {
	Kernels string // as people call it
	Variant string // the library that multiplies
	Arith   kernels.Arith
	Threads kernels.Threads // of all devices together
	Devices int
	// Away: devices are on other hosts. Probes of this one bound nothing there, and who computes there is not timed op by
	// op; other engines cannot be started beside this one.
	Away bool
	// Start starts an engine for the requests that Requests lists.
	Start func(context.Context, actors.Trace, stages.Wrap) (*actors.Engine, error)
}

// slack is new tokens beyond those that are measured: the streams that are first decode while the prompts
// of others are computed.
func slack(streams int) int { return 8 * (streams - 1) }

// Positions is how many positions of the context a prompt and so many measured tokens take.
func Positions(prompt, generate, streams int) int { return prompt + 1 + generate + slack(streams) }

// Requests are those of one round: random ids, other ones for each stream, continued greedily and past EOS.
func (o *Options) Requests() []sched.Request {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]sched.Request, o.Streams)
	for i := range list {
		ids := make([]int32, o.Prompt)
		for k := range ids {
			for ids[k] = int32(o.Model.PadToken); ids[k] == int32(o.Model.PadToken); {
				ids[k] = rng.Int32N(int32(o.Model.VocabSize))
			}
		}
		list[i] = sched.Request{Prompt: ids, MaxTokens: 1 + o.Generate + slack(o.Streams), Params: sample.Params{TopP: 1}, Policy: o.Policy, EOS: -1}
	}
	return list
}

// stopPatience is how long the end of a measurement waits for an engine's.
const stopPatience = 10 * time.Second

// Run measures. When ctx ends it returns what has been measured so far, and the cause.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.ProbeTime == 0 {
		o.ProbeTime = DefaultProbeTime
	}
	probe, err := newProbe(o.ProbeBytes)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	r := &run{Options: o, probe: probe, requests: o.Requests()}
	defer r.stop()
	for _, s := range o.Subjects {
		if err := r.start(ctx, s); err != nil {
			return nil, fmt.Errorf("%s, %v: %w", s.Kernels, s.Arith, err)
		}
	}
	err = r.all(ctx)
	if r.rounds() == 0 {
		return nil, errors.Join(err, r.stop())
	}
	return r.report(), errors.Join(err, r.stop())
}

// run is a measurement that is going on.
type run struct {
	Options
	probe    *cpu.Probe
	requests []sched.Request
	subjects []*subject
	done     int // rounds, for the progress
	resident int64
}

// subject is one that runs.
type subject struct {
	Subject
	cost   cost
	unit   cpu.Unit
	engine *actors.Engine
	gate   *gate
	rounds []Round
	ops    []OpTime
	// matmuls is the ratio to the peak in the round of ops.
	matmuls float64
}

func (r *run) start(ctx context.Context, s Subject) (err error) {
	on := &subject{Subject: s, gate: newGate(r.Model.Model.NumLayers)}
	on.cost = costOf(r.Model, r.Weights, r.Policy, s.Arith)
	on.unit = cpu.UnitOf(s.Variant, s.Arith, on.cost.int8)
	if on.engine, err = s.Start(ctx, on.gate.turn, nil); err == nil {
		r.subjects = append(r.subjects, on)
	}
	return err
}

// stop stops the engines; a second call does nothing.
func (r *run) stop() error {
	var errs []error
	for _, s := range r.subjects {
		errs = append(errs, stopEngine(s.engine))
	}
	r.subjects = nil
	return errors.Join(errs...)
}

func stopEngine(e *actors.Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return e.Stop(ctx)
}

func (r *run) rounds() (n int) {
	for _, s := range r.subjects {
		n += len(s.rounds)
	}
	return n
}

// all runs the rounds: a short one to warm up, those that count, and one with the ops' times.
func (r *run) all(ctx context.Context) error {
	for _, s := range r.subjects {
		if err := r.warm(ctx, s.engine); err != nil {
			return err
		}
	}
	for range r.Repetitions {
		for _, s := range r.subjects {
			round, err := r.round(ctx, s)
			if err != nil {
				return err
			}
			s.rounds = append(s.rounds, round)
			r.tick()
		}
	}
	r.resident = resident()
	for _, s := range r.subjects {
		if !s.Away {
			if err := r.timeOps(ctx, s); err != nil {
				return err
			}
		}
		r.tick()
	}
	return nil
}

func (r *run) tick() {
	r.done++
	if r.Progress != nil {
		r.Progress(r.done, (r.Repetitions+1)*len(r.subjects))
	}
}

// warm has an engine do a little of everything.
func (r *run) warm(ctx context.Context, e *actors.Engine) error {
	const some = 64
	q := r.requests[0]
	q.Prompt, q.MaxTokens = q.Prompt[:min(len(q.Prompt), some)], min(q.MaxTokens, 4)
	return generate(ctx, e, []sched.Request{q}).wait(ctx)
}
