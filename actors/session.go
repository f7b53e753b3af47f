package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
	"troupe/model"
)

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
	model   model.Config
	load    Load
	lender  *Lender

	signs atomic.Int64 // of life of the head, since the last turn of watch
	mu    sync.Mutex
	// answers are those to the latest questions, by number; nil: not answered yet. A question may come again.
	answers map[uint64]*wire.Done
	newest  uint64 // question
	lanes   map[int]runner
	crews   map[uint32]*crew
	opens   chan struct{} // has room for whoever opens a crew
	opening map[uint32]context.CancelCauseFunc
	order   chan struct{} // has room for whoever opens or closes a crew: one after the other
}

// begin begins a session.
func (w *Worker) begin(m *wire.Hello, desk *actor.PID, c model.Config) *session {
	s := &session{worker: w, number: rand.Uint64() | 1, head: m.Head, address: m.Address, desk: desk,
		answers: map[uint64]*wire.Done{}, lanes: map[int]runner{}, order: make(chan struct{}, 1), opens: make(chan struct{}, 1),
		crews: map[uint32]*crew{}, opening: map[uint32]context.CancelCauseFunc{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.model, s.load, s.lender = c, w.o.Load, newBorrower(s)
	if w.o.Fetch != nil {
		s.load = w.o.Fetch(c, s.lender)
	}
	s.forget = w.o.Net.watch(m.Address, func() { go s.finish(errors.New("the connection ended")) })
	w.session = s
	w.ending.Add(1)
	go s.watch()
	return s
}

// handle does what a head has asked for, one thing after the other.
func (w *Worker) handle(id, number uint64, f func(*session) error) {
	w.serve(id, number, func(s *session) error {
		s.order <- struct{}{}
		defer func() { <-s.order }()
		return f(s)
	})
}

// serve does what a head has asked for, behind the door's back, and answers.
func (w *Worker) serve(id, number uint64, f func(*session) error) {
	s := w.of(id)
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
		if err := f(s); err != nil {
			m.Error = words(err.Error())
		}
		s.mu.Lock()
		if _, known := s.answers[number]; known {
			s.answers[number] = m
		}
		s.mu.Unlock()
		s.tell(m)
	}()
}

// answered tells whether a question has been asked before, and its answer if there is one.
func (s *session) answered(number uint64) (answer *wire.Done, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer, asked = s.answers[number]; asked {
		return answer, true
	}
	s.newest = max(s.newest, number)
	old := func(number uint64) bool { return s.newest-number >= mostAnswers }
	if old(number) {
		return nil, true
	}
	maps.DeleteFunc(s.answers, func(number uint64, _ *wire.Done) bool { return old(number) })
	s.answers[number] = nil
	return nil, false
}

// mostAnswers bounds how many are remembered: questions are numbered one by one.
const mostAnswers = 1024

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
			if s.lender.waits() { // what the head says may be held up by what it sends
				s.tell(&wire.Beat{Session: s.number})
			}
			if s.signs.Swap(0) > 0 {
				quiet = 0
			}
			if quiet > s.worker.o.Silence {
				s.end(fmt.Errorf("nothing heard for %v", quiet))
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
	w.o.Told(fmt.Sprintf("done with %s: %v", s.head, why))
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
		s.lanes[device] = s.worker.o.Net.lane(device, false)
	}
	return s.lanes[device]
}

// open opens a crew. While its weights come, from disk or from the head, all else is served but another open.
func (s *session) open(m *wire.Open) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.order <- struct{}{}
	known := s.crews[m.Crew] != nil || s.opening[m.Crew] != nil
	if !known {
		s.opening[m.Crew] = cancel
	}
	<-s.order
	if known {
		return fmt.Errorf("crew %d is open", m.Crew)
	}
	s.opens <- struct{}{}
	defer func() { <-s.opens }()
	err := context.Cause(ctx)
	var weights loaded
	var o Options
	if err == nil {
		o, weights, err = s.worker.prepare(ctx, s, m)
	}
	s.order <- struct{}{}
	defer func() { <-s.order }()
	delete(s.opening, m.Crew)
	if err == nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), weights.close())
	}
	if err != nil {
		return err
	}
	k, err := s.worker.openCrew(ctx, s, m, o, weights)
	if err != nil {
		return err
	}
	s.crews[m.Crew] = k
	return nil
}

// shut closes a crew, or has one not opened that is being opened.
func (s *session) shut(number uint32) error {
	if abandon := s.opening[number]; abandon != nil {
		abandon(errors.New("the head wants it no more"))
	}
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
			k.kill(partOf(m.Part), time.Duration(max(0, m.Stop)))
		}
	}()
}
