package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/actors/internal/wire"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// Offered is a device that a worker offers.
type Offered struct {
	place.Device
	Bandwidth float64 // bytes a second that it reads of its memory; 0: not measured
	Flops     float64 // a second, of int8 products; 0: not measured
}

// Load opens the weights of some stages and experts. They are used in place until close is called. ctx cancels.
type Load func(ctx context.Context, spans []stages.Span, expert func(layer, expert int) bool) (w stages.Weights, close func() error, err error)

// Fetch is what opens weights in a session with a head that lends its files. It waits for nothing; the Load may.
type Fetch func(c model.Config, from *Lender) Load

// WorkerOptions say what a worker has.
type WorkerOptions struct {
	Net      *Net
	Devices  []Offered
	Model    model.Config
	Load     Load
	Identity string // of the checkpoint: heads must have the same
	Fetch    Fetch  // in the place of Model, Load and Identity: the worker has no files of its own. nil: it has
	Build    string // version of the program
	Binding  string // kernels, in the place of those that a head wants; "": as it wants
	// Silence is after how long without a sign of life a head is taken for lost. 0: 3 s.
	Silence time.Duration
	Log     *slog.Logger
	Events  func(KernelEvent) // may be nil; see Options.Events
	// Told hears in a few words whom the worker serves, and of ends and refusals. May be nil.
	Told func(text string)
}

// Worker offers devices to heads, one head after the other.
type Worker struct {
	o    WorkerOptions
	door *actor.PID

	mu      sync.Mutex
	session *session // nil: nobody is served
	ending  sync.WaitGroup
	closed  bool
}

// NewWorker opens a worker's door.
func NewWorker(o WorkerOptions) (*Worker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With(slog.String("part", "actors"))
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	if o.Told == nil {
		o.Told = func(string) {}
	}
	w := &Worker{o: o}
	var err error
	w.door, err = o.Net.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return &doorActor{w} }), o.Net.name(doorName))
	if err != nil {
		return nil, fmt.Errorf("actors: door: %w", err)
	}
	return w, nil
}

// Serves is the head that is served, "" for none.
func (w *Worker) Serves() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil {
		return ""
	}
	return w.session.head
}

// Close ends the session, if there is one, and gives everything back. It waits for that until ctx ends.
func (w *Worker) Close(ctx context.Context, reason string) error {
	w.mu.Lock()
	w.closed = true
	s := w.session
	w.mu.Unlock()
	if s != nil {
		s.end(errors.New(reason))
	}
	if err := w.o.Net.system.Root.StopFuture(w.door).Wait(); err != nil {
		return fmt.Errorf("actors: worker: door: %w", err)
	}
	done := make(chan struct{})
	go func() {
		w.ending.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("actors: worker: still giving back what it had for a head: %w", ctx.Err())
	}
}

// doorActor takes what heads say apart from batches. It waits for nothing.
type doorActor struct{ w *Worker }

func (d *doorActor) Receive(c actor.Context) {
	w := d.w
	defer func() { // the door stays open: it has no state of its own
		if r := recover(); r != nil {
			w.o.Log.Error("panic", slog.String("actor", doorName), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	switch m := c.Message().(type) {
	case *wire.Hello:
		w.greet(m)
	case *wire.Beat:
		if s := w.of(m.Session); s != nil {
			s.alive()
			s.tell(m)
		}
	case *wire.Bye:
		if s := w.of(m.Session); s != nil {
			s.tell(m)
			s.finish(errors.New(said(m.Reason)))
		}
	case *wire.Fetched:
		if s := w.of(m.Session); s != nil {
			s.alive()
			s.lender.take(m)
		}
	case *wire.Open:
		w.serve(m.Session, m.Number, func(s *session) error { return s.open(m) })
	case *wire.Shut:
		w.handle(m.Session, m.Number, func(s *session) error { return s.shut(m.Crew) })
	case *wire.Leave:
		w.handle(m.Session, m.Number, func(s *session) error { return s.leave(m) })
	case *wire.Revive:
		w.handle(m.Session, m.Number, func(s *session) error { return s.revive(m) })
	case *wire.Kill:
		if s := w.of(m.Session); s != nil {
			s.kill(m)
		}
	}
}

// of is the session of a number, nil when it is over.
func (w *Worker) of(number uint64) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil || w.session.number != number {
		return nil
	}
	return w.session
}

// greet answers a Hello: with what there is, or with why not.
func (w *Worker) greet(m *wire.Hello) {
	m.Head, m.Build, m.Identity = said(m.Head), said(m.Build), said(m.Identity)
	to := w.o.Net.pid(m.Address, m.Desk)
	refuse := func(format string, values ...any) {
		reason := fmt.Sprintf(format, values...)
		w.o.Told(fmt.Sprintf("refused %s: %s", m.Head, reason))
		w.o.Net.send(to, &wire.Refused{Reason: words(reason)})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	welcome := &wire.Welcome{Build: w.o.Build, Pid: uint32(os.Getpid()), Machine: machine()}
	for _, d := range w.o.Devices {
		welcome.Offers = append(welcome.Offers, &wire.Offer{Name: d.Name, Threads: uint32(d.Threads), Prefill: uint32(d.Prefill), Memory: uint64(d.Memory),
			Bandwidth: d.Bandwidth, Flops: d.Flops})
	}
	if w.session != nil {
		welcome.Serves = w.session.head
	}
	switch {
	case m.Protocol != wire.Protocol:
		refuse("it speaks protocol %d (version %s), this worker %d (version %s): run the same version on both sides", m.Protocol, m.Build, wire.Protocol, w.o.Build)
	case w.closed:
		refuse("this worker is ending")
	case m.Identity == "":
		w.o.Net.send(to, welcome)
	case m.Build != w.o.Build:
		refuse("it is version %s, this worker %s: run the same version on both sides", m.Build, w.o.Build)
	case w.session != nil && w.session.head == m.Head && w.session.address == m.Address:
		w.session.finish(errors.New("it begins anew"))
		refuse("this worker still gives back what you had")
	case w.session != nil:
		refuse("this worker serves %s: end that run, or name another worker", w.session.head)
	default:
		c, err := w.suits(m)
		if err != nil {
			refuse("%v", err)
			return
		}
		s := w.begin(m, to, c)
		welcome.Session = s.number
		s.expectData(welcome)
		w.o.Told("serving " + m.Head)
		w.o.Net.send(to, welcome)
	}
}

// suits is the model of a head that this worker can compute with.
func (w *Worker) suits(m *wire.Hello) (c model.Config, err error) {
	switch {
	case w.o.Fetch != nil && !m.Lends:
		return c, errors.New("this worker has no files of a model, and that run lends none: give the worker a model directory")
	case w.o.Fetch != nil:
		return model.ParseConfig(m.Config)
	case !sameConfig(m.Config, w.o.Model):
		return c, errors.New("another config.json: give both sides the same model directory, or have the worker fetch")
	case m.Identity != w.o.Identity:
		return c, fmt.Errorf("another checkpoint: there %s, here %s: give both sides the same model directory, or have the worker fetch", m.Identity, w.o.Identity)
	}
	return w.o.Model, nil
}
