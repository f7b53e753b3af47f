package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
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

// WorkerOptions say what a worker has.
type WorkerOptions struct {
	Net      *Net
	Devices  []Offered
	Model    model.Config
	Load     Load
	Identity string // of the checkpoint: heads must have the same
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
	plan model.Plan
	door *actor.PID

	mu      sync.Mutex
	session *session // nil: nobody is served
	ending  sync.WaitGroup
	closed  bool
}

// session is the time with one head.
type session struct {
	worker  *Worker
	number  uint64
	head    string // for people
	address string
	desk    *actor.PID
	ctx     context.Context // over when the session is
	cancel  context.CancelCauseFunc
	forget  func()                      // no more of the connection
	data    atomic.Pointer[stream.Conn] // for batches; nil: none yet, or they go over the link

	signs atomic.Int64 // of life of the head, since the last turn of watch
	mu    sync.Mutex
	// answers are those to the latest questions, by number; nil: not answered yet. A question may come again.
	answers map[uint64]*wire.Done
	lanes   map[int]runner
	crews   map[uint32]*crew
	order   chan struct{} // has room for whoever opens or closes a crew: one after the other
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
	w := &Worker{o: o, plan: model.NewPlan(o.Model)}
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
			s.finish(fmt.Errorf("%s: %s", s.head, m.Reason))
		}
	case *wire.Open:
		w.handle(m.Session, m.Number, func(s *session) error { return s.open(m) })
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

// handle does what a head has asked for, behind the door's back, and answers.
func (w *Worker) handle(session, number uint64, f func(*session) error) {
	s := w.of(session)
	if s == nil {
		return
	}
	if answer, asked := s.answered(number); asked {
		if answer != nil {
			s.tell(answer)
		}
		return
	}
	w.ending.Add(1)
	go func() {
		defer w.ending.Done()
		m := &wire.Done{Number: number}
		s.order <- struct{}{}
		err := f(s)
		<-s.order
		if err != nil {
			m.Error = words(err.Error())
		}
		s.mu.Lock()
		s.answers[number] = m
		s.mu.Unlock()
		s.tell(m)
	}()
}

// answered tells whether a question has been asked before, and its answer if there is one.
func (s *session) answered(number uint64) (answer *wire.Done, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer, asked = s.answers[number]; !asked {
		delete(s.answers, number-mostAnswers)
		s.answers[number] = nil
	}
	return answer, asked
}

// mostAnswers bounds how many are remembered: questions are numbered one by one.
const mostAnswers = 1024

// greet answers a Hello: with what there is, or with why not.
func (w *Worker) greet(m *wire.Hello) {
	to := w.o.Net.pid(m.Address, m.Desk)
	refuse := func(format string, values ...any) {
		reason := fmt.Sprintf(format, values...)
		w.o.Told(fmt.Sprintf("refused %s: %s", m.Head, reason))
		w.o.Net.send(to, &wire.Refused{Reason: words(reason)})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	welcome := &wire.Welcome{Build: w.o.Build}
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
		w.session.finish(fmt.Errorf("%s: it begins anew", m.Head))
		refuse("this worker still gives back what you had")
	case w.session != nil:
		refuse("this worker serves %s: end that run, or name another worker", w.session.head)
	case !sameConfig(m.Config, w.o.Model):
		refuse("another config.json: give both sides the same model directory")
	case m.Identity != w.o.Identity:
		refuse("another checkpoint: there %s, here %s: give both sides the same model directory", m.Identity, w.o.Identity)
	default:
		s := w.begin(m, to)
		welcome.Session = s.number
		s.expectData(welcome)
		w.o.Told("serving " + m.Head)
		w.o.Net.send(to, welcome)
	}
}

// begin begins a session.
func (w *Worker) begin(m *wire.Hello, desk *actor.PID) *session {
	s := &session{worker: w, number: rand.Uint64() | 1, head: m.Head, address: m.Address, desk: desk,
		answers: map[uint64]*wire.Done{}, lanes: map[int]runner{}, order: make(chan struct{}, 1), crews: map[uint32]*crew{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.forget = w.o.Net.watch(m.Address, func() { go s.finish(fmt.Errorf("%s: the connection ended", s.head)) })
	w.session = s
	w.ending.Add(1)
	go s.watch()
	return s
}

func (s *session) tell(m proto.Message) { s.worker.o.Net.send(s.desk, m) }

func (s *session) alive() { s.signs.Add(1) }

// watch ends the session when the head is silent, and gives everything back when it has ended.
func (s *session) watch() {
	defer s.worker.ending.Done()
	every, quiet := beat(s.worker.o.Silence), time.Duration(0)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for s.ctx.Err() == nil {
		select {
		case <-s.ctx.Done():
		case <-tick.C:
			if s.signs.Swap(0) > 0 {
				quiet = 0
			}
			if quiet > s.worker.o.Silence {
				s.end(fmt.Errorf("%s: silent for %v", s.head, quiet))
			}
			quiet += every
		}
	}
	why := context.Cause(s.ctx)
	s.giveBack()
	w := s.worker
	w.mu.Lock()
	w.session = nil
	w.mu.Unlock()
	w.o.Told(fmt.Sprintf("done with %v", why))
}

// end ends the session from this side.
func (s *session) end(why error) {
	if s.ctx.Err() == nil {
		s.tell(&wire.Bye{Session: s.number, Reason: words(why.Error())})
	}
	s.finish(why)
}

// finish ends it without a word to the head.
func (s *session) finish(why error) { s.cancel(why) }

// giveBack closes all crews and ends the lanes.
func (s *session) giveBack() {
	s.forget()
	s.endData()
	s.order <- struct{}{}
	defer func() { <-s.order }()
	for _, k := range s.crews {
		if err := k.close(); err != nil {
			s.worker.o.Log.Warn("closing a crew", slog.Any("error", err))
		}
	}
	clear(s.crews)
	for _, l := range s.lanes {
		l.stop()
	}
}

// lane is that of a device. The caller has s.order.
func (s *session) lane(device int) runner {
	if s.lanes[device] == nil {
		s.lanes[device] = s.worker.o.Net.lane(device)
	}
	return s.lanes[device]
}

func (s *session) open(m *wire.Open) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if s.crews[m.Crew] != nil {
		return fmt.Errorf("crew %d is open", m.Crew)
	}
	k, err := s.worker.openCrew(s.ctx, s, m)
	if err != nil {
		return err
	}
	s.crews[m.Crew] = k
	return nil
}

func (s *session) shut(number uint32) error {
	k := s.crews[number]
	if k == nil {
		return nil
	}
	delete(s.crews, number)
	return k.close()
}

func (s *session) leave(m *wire.Leave) error {
	k := s.crews[m.Crew]
	if k == nil {
		return fmt.Errorf("crew %d is not here", m.Crew)
	}
	return k.leave(partOf(m.Part), m.Epoch)
}

func (s *session) revive(m *wire.Revive) error {
	k := s.crews[m.Crew]
	if k == nil {
		return fmt.Errorf("crew %d is not here", m.Crew)
	}
	return k.revive(partOf(m.Part), m.Epoch)
}

func (s *session) kill(m *wire.Kill) {
	s.worker.ending.Add(1)
	go func() {
		defer s.worker.ending.Done()
		s.order <- struct{}{}
		defer func() { <-s.order }()
		if k := s.crews[m.Crew]; k != nil {
			k.kill(partOf(m.Part))
		}
	}()
}
