package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// Case is what is to be predicted: a model on devices that read and calculate so fast, over links, under a load.
type Case struct {
	Model      model.Config
	Plan       place.Plan // with Bandwidth and Flops of devices, and links of hosts; what is not stated takes no time
	Quantities place.Quantities
	Policy     router.Policy
	Streams    int // requests at a time, all handed in at the beginning
	Prompt     int // tokens of each
	Tokens     int // new ones of each
	Seed       uint64
	// Head are the bytes a second that the head's host sends, and receives, on all links together; 0: as the fastest of them.
	Head float64
	// Call is what each call of a kernel takes beside bytes and operations, Position what attention takes for each position
	// looked back on, Hop what a turn waits before it begins, and Message what one takes beside its bytes.
	Call, Position, Hop, Message time.Duration
	Adds                         bool // see Speed
	// Trace is told of all that devices do, in order of time, with Batch 0; nil: nobody is.
	Trace actors.Trace
}

const headAddress = "head"

// Predict runs the case: engine, scheduler and workers are the real ones, of a model that is shrunk, and only what takes
// time is virtual. The same case gives the same result.
func Predict(ctx context.Context, c Case) (r Report, err error) {
	if c.Streams < 1 || c.Prompt < 1 || c.Tokens < 2 || c.Prompt+c.Tokens > c.Model.SequenceLen {
		return r, fmt.Errorf("sim: %d streams with prompts of %d and %d new tokens: want at least 1, 1 and 2, and no more tokens than the model's %d",
			c.Streams, c.Prompt, c.Tokens, c.Model.SequenceLen)
	}
	RegisterBlank()
	d := newDriver(c)
	d.loop.Start()
	err = d.open(ctx)
	d.loop.Stop()
	if err == nil {
		err = d.drive(ctx)
	}
	d.loop.Start()
	err = errors.Join(err, d.close())
	d.loop.Stop()
	d.local.Close()
	if err != nil {
		return r, err
	}
	return d.report(), nil
}

// driver drives one case.
type driver struct {
	Case
	costs   *costs
	loop    *Loop
	world   *World
	local   *actors.Local
	workers []*actors.Worker
	engine  *actors.Engine
	streams []*following
	told    bool                    // the head has had its say
	expert  map[*kernels.Weight]int // whose a weight is
	begin   time.Duration
	all     *ledger // from the first request on
	steady  *ledger // while all streams have new tokens
}

// following is a request that is under way.
type following struct {
	stream *actors.Stream
	reply  <-chan error
	at     []time.Duration // of its tokens
	done   bool
}

func newDriver(c Case) *driver {
	d := &driver{Case: c, costs: newCosts(c.Model, c.Quantities), loop: NewLoop(c.Seed, true), all: newLedger(), steady: newLedger()}
	_, ratio := shrink(c.Model)
	d.world = NewWorld(d.loop, Options{
		Hop:  func(*rand.Rand) time.Duration { return max(c.Hop, 1) },
		Cost: func(k Kernel) time.Duration { return d.costs.of(k, d.speed(k.Host, k.Device)) },
		Link: d.link,
		Bytes: func(p actors.Parcel) int {
			return p.Bytes - p.Values + int(float64(p.Values)*ratio)
		},
		Aside:  true,
		Told:   d.turn,
		Turned: func(host string) { d.told = d.told || host == headAddress },
		Sent:   d.message,
	})
	d.local = actors.NewLocal(d.world)
	return d
}

// speed is that of a device of a host.
func (d *driver) speed(host string, device int) Speed {
	s := Speed{Call: d.Call, Position: d.Position, Adds: d.Adds}
	if i := d.device(host, device); i >= 0 {
		s.Bandwidth, s.Flops = d.Plan.Devices[i].Bandwidth, d.Plan.Devices[i].Flops
	}
	return s
}

// device is that of the plan which a host has under a number: the head numbers its own as the plan does.
func (d *driver) device(host string, number int) int {
	if host == headAddress {
		return number
	}
	return slices.IndexFunc(d.Plan.Devices, func(x place.Device) bool { return x.Host == host && x.Number == number })
}

// link is what there is between the head and a worker.
func (d *driver) link(from, to string) Link {
	worker, head := from, d.Head
	if worker == headAddress {
		worker = to
	}
	var is place.Link
	fastest := 0.
	for _, h := range d.Plan.Hosts {
		if h.Address == worker {
			is = h.Link
		}
		fastest = max(fastest, h.Link.Bandwidth)
	}
	if head == 0 {
		head = fastest
	}
	l := Link{Latency: time.Duration(is.Latency * float64(time.Second)), From: is.Bandwidth, To: head, Message: d.Message}
	if from == headAddress {
		l.From, l.To = l.To, l.From
	}
	return l
}

// open starts workers and engine.
func (d *driver) open(ctx context.Context) error {
	small, _ := shrink(d.Model)
	weights, expert := weightless(small)
	d.expert = expert
	for _, address := range addresses(d.Plan) {
		w, err := actors.NewWorker(actors.WorkerOptions{Net: d.local.Net(address), Devices: offered(d.Plan, address), Model: small, Identity: "simulated", Build: "simulated",
			Silence: forEver, Load: func(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
				return weights, func() error { return nil }, nil
			}})
		if err != nil {
			return err
		}
		d.workers = append(d.workers, w)
	}
	blank, err := kernels.ParseBinding(Blank)
	if err != nil {
		return err
	}
	positions := d.Prompt + d.Tokens
	q := d.Quantities
	d.engine, err = actors.Start(ctx, actors.Options{Model: small, Weights: weights, Placement: d.Plan, Arith: kernels.Exact, Binding: blank,
		Net: d.local.Net(headAddress), Identity: "simulated", Build: "simulated", Silence: forEver, VerifyFraction: -1, NoJournal: !q.Journal,
		Sched: sched.Config{Batches: q.Batches, Rows: q.Limits.Rows, Draws: max(q.Limits.Draws, 1), Sequences: max(q.Limits.Sequences, 1), Queue: d.Streams,
			Blocks: max(q.Limits.Sequences, 1) * ((positions + kernels.BlockTokens - 1) / kernels.BlockTokens)}})
	return err
}

// forEver is a silence that nobody is taken for lost by: signs of life take real time here, and not the virtual one.
const forEver = 1000 * time.Hour

func addresses(p place.Plan) (list []string) {
	for _, d := range p.Devices {
		if d.Host != "" && !slices.Contains(list, d.Host) {
			list = append(list, d.Host)
		}
	}
	return list
}

// offered are the devices of a worker, in its own order.
func offered(p place.Plan, address string) (list []actors.Offered) {
	for _, d := range p.Devices {
		if d.Host != address {
			continue
		}
		for d.Number >= len(list) {
			list = append(list, actors.Offered{Device: place.Device{Name: "cpu", Threads: 1}})
		}
	}
	return list
}

func (d *driver) close() (err error) {
	ctx := context.Background()
	if d.engine != nil {
		err = d.engine.Stop(ctx)
	}
	for _, w := range d.workers {
		err = errors.Join(err, w.Close(ctx, "the simulation is over"))
	}
	return err
}

// drive hands the requests in and runs events until the last one has its last token.
func (d *driver) drive(ctx context.Context) error {
	d.begin = d.loop.Now()
	d.all.begin(d.begin)
	for i := range d.Streams {
		prompt := make([]int32, d.Prompt)
		for j := range prompt {
			prompt[j] = int32(2 + (i+j)%6)
		}
		f := &following{}
		f.stream, f.reply = d.engine.Hand(sched.Request{Prompt: prompt, MaxTokens: d.Tokens, Params: sample.Params{TopP: 1}, Policy: d.Policy, EOS: -1})
		d.streams = append(d.streams, f)
	}
	for open := d.Streams; open > 0; {
		d.told = false
		if _, ran := d.loop.step(); !ran {
			return fmt.Errorf("sim: BUG: nothing happens any more, but %d of %d requests wait", open, d.Streams)
		}
		if d.loop.events%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !d.told {
			continue
		}
		now, speaking := d.loop.Now(), 0
		for _, f := range d.streams {
			ended, err := f.follow(now - d.begin)
			if err != nil {
				return fmt.Errorf("sim: %w", err)
			}
			if ended {
				d.steady.end(now)
				open--
			}
			if len(f.at) > 0 {
				speaking++
			}
		}
		if speaking == d.Streams && open == d.Streams && !d.steady.open {
			d.steady.begin(now)
		}
	}
	d.all.end(d.loop.Now())
	return nil
}

// follow notes what has come of a request at a time. It reports whether that was the end of it.
func (f *following) follow(now time.Duration) (ended bool, err error) {
	if f.done {
		return false, nil
	}
	select {
	case err := <-f.reply:
		if err != nil {
			return true, err
		}
	default:
	}
	for e, ok := f.stream.Poll(); ok; e, ok = f.stream.Poll() {
		if e.Done {
			f.done = true
			return true, e.Err
		}
		f.at = append(f.at, now)
	}
	return false, nil
}
