package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
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

	signs atomic.Int64 // of life of the head, since the last turn of watch
	mu    sync.Mutex
	// answers are those to the latest questions, by number; nil: not answered yet. A question may come again.
	answers map[uint64]*wire.Done
	lanes   map[int]runner
	crews   map[uint32]*crew
	order   chan struct{} // has room for whoever opens or closes a crew: one after the other
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
