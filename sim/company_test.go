package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"troupe/actors"
	"troupe/internal/toy"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

const (
	headHost = "head:1"
	silence  = time.Second
)

// company is a head and workers in a world of their own, made from a seed.
type company struct {
	t       *testing.T
	rng     *rand.Rand
	log     *slog.Logger
	loop    *Loop
	world   *World
	local   *actors.Local
	workers []*actors.Worker
	devices []actors.Offered // of every worker
	options actors.Options
	engine  *actors.Engine
	trace   []string // what is charged for, in order
}

func worker(i int) string { return fmt.Sprintf("w%d:1", i) }

// newCompany draws a company: hosts, devices, links, layers, experts, limits.
func newCompany(t *testing.T, seed uint64, log *slog.Logger) *company {
	c := &company{t: t, rng: rand.New(rand.NewPCG(seed, 0x636f6d)), log: log, loop: NewLoop(seed, false)}
	slow := map[string]float64{headHost: 0.5 + c.rng.Float64()}
	latency, bandwidth := micros(c.rng, 10, 2000), 1e6+c.rng.Float64()*1e9
	workers := 1 + c.rng.IntN(4)
	for i := range workers {
		slow[worker(i)] = 0.3 + 3*c.rng.Float64()
	}
	c.world = NewWorld(c.loop, Options{
		Hop: func(rng *rand.Rand) time.Duration { return micros(rng, 0, 5) },
		Cost: func(k Kernel) time.Duration {
			if k.Rng.IntN(4) > 0 {
				return 0
			}
			return time.Duration(float64(micros(k.Rng, 1, 400)) * slow[k.Host])
		},
		Bytes: func(p actors.Parcel) int {
			if !p.Batch {
				return 100 // names in it are of the process, not of the seed
			}
			return p.Bytes
		},
		Link: func(from, to string) Link { return Link{Latency: latency, From: bandwidth, To: bandwidth} },
		Told: func(x Turn) {
			c.trace = append(c.trace, fmt.Sprintf("%v %s/%d %v %d", x.Begin, x.Host, x.Device, x.Op, x.Rows))
		},
	})
	c.local = actors.NewLocal(c.world)
	for range 1 + c.rng.IntN(2) {
		c.devices = append(c.devices, actors.Offered{Device: place.Device{Name: "cpu", Threads: 1}})
	}
	c.loop.Start()
	for i := range workers {
		c.workers = append(c.workers, c.hire(i))
	}
	c.plan()
	return c
}

func micros(rng *rand.Rand, lo, hi int) time.Duration {
	return time.Duration(lo*1000+rng.IntN((hi-lo)*1000)) * time.Nanosecond
}

// hire opens a worker.
func (c *company) hire(i int) *actors.Worker {
	w, err := actors.NewWorker(actors.WorkerOptions{Net: c.local.Net(worker(i)), Devices: c.devices, Model: toy.Config(), Identity: "toy", Build: "test",
		Silence: silence, Log: c.log,
		Load: func(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
			return toyWeights(), func() error { return nil }, nil
		}})
	if err != nil {
		c.t.Error(err)
	}
	return w
}

// plan draws who has what, and the limits.
func (c *company) plan() {
	rng := c.rng
	var devices []place.Device
	for i := range c.workers {
		for d := range c.devices {
			devices = append(devices, place.Device{Name: "cpu", Threads: 1, Host: worker(i), Number: d})
		}
	}
	rng.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	var spare []place.Device
	if n := rng.IntN(len(devices)); n > 0 && rng.IntN(2) == 0 {
		devices, spare = devices[n:], devices[:n]
	}
	for range rng.IntN(3) {
		devices = append(devices, place.Device{Name: "cpu", Threads: 1})
	}
	rng.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	m := toy.Config().Model
	plan := place.Plan{Devices: devices}
	n := 1 + rng.IntN(m.NumLayers)
	spread := rng.IntN(2) == 0
	for i := range n {
		s := place.Stage{Span: stages.Span{Lo: i * m.NumLayers / n, Hi: (i + 1) * m.NumLayers / n}, Device: rng.IntN(len(devices))}
		plan.Stages = append(plan.Stages, s)
		for range s.Span.Hi - s.Span.Lo {
			homes := make([]int, m.NumExperts)
			for e := range homes {
				if homes[e] = s.Device; spread {
					homes[e] = rng.IntN(len(devices))
				}
			}
			plan.Experts = append(plan.Experts, homes)
		}
	}
	plan, idle := used(plan)
	spare = append(spare, idle...)
	c.options = actors.Options{Model: toy.Config(), Weights: toyWeights(), Placement: plan, Binding: refBinding(), Spare: spare, Net: c.local.Net(headHost),
		Identity: "toy", Build: "test", Silence: silence, Log: c.log, VerifyFraction: -1, NoJournal: rng.IntN(4) == 0, NoTelemetry: rng.IntN(2) == 0,
		Sched: sched.Config{Batches: 1 + rng.IntN(5), Rows: 1 + rng.IntN(16), Draws: 16, Sequences: 1 + rng.IntN(8), Queue: 1 + rng.IntN(8), Blocks: 6 + rng.IntN(30)}}
	if rng.IntN(2) == 0 {
		c.options.Chaos = &actors.Chaos{Seed: rng.Uint64(), Rate: 0.2 * rng.Float64()}
	}
}

// used leaves out devices that have nothing to do: those of workers are spare.
func used(p place.Plan) (plan place.Plan, spare []place.Device) {
	number := make([]int, len(p.Devices))
	for _, s := range p.Stages {
		number[s.Device] = 1
	}
	for _, homes := range p.Experts {
		for _, d := range homes {
			number[d] = 1
		}
	}
	for i, d := range p.Devices {
		switch {
		case number[i] == 1:
			number[i] = len(plan.Devices)
			plan.Devices = append(plan.Devices, d)
		case d.Host != "":
			spare = append(spare, d)
		}
	}
	for _, s := range p.Stages {
		plan.Stages = append(plan.Stages, place.Stage{Span: s.Span, Device: number[s.Device]})
	}
	for _, homes := range p.Experts {
		for x, d := range homes {
			homes[x] = number[d]
		}
		plan.Experts = append(plan.Experts, homes)
	}
	return plan, spare
}

// fire closes a worker.
func (c *company) fire(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := c.workers[i].Close(ctx, "the test is over"); err != nil {
		c.t.Errorf("worker %d: %v", i, err)
	}
}

// close ends all of it.
func (c *company) close() {
	if c.engine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := c.engine.Stop(ctx); err != nil {
			c.t.Error(err)
		}
	}
	for i := range c.workers {
		c.fire(i)
	}
	c.loop.Stop()
	c.local.Close()
	time.Sleep(time.Second) // the library has a goroutine for a while after a letter that nobody got
}
