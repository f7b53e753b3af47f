package actors

import (
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages/sched"
)

// headActor carries the scheduler. It owns the credits at home: while there are any, and rows to compute, it
// fills batches and sends them into the pipeline.
type headActor struct {
	engine  *Engine
	sched   *sched.Scheduler
	first   *actor.PID // stage 0
	home    []*credit  // credits at home
	credits int        // all there are
	streams map[sched.ID]*Stream
	events  []sched.Event // used again and again
	leaving chan struct{} // nil until the engine stops; closed when all credits are home
	left    bool          // it has been closed
}

func newHead(e *Engine, s *sched.Scheduler, first *actor.PID) *headActor {
	return &headActor{engine: e, sched: s, first: first, home: slices.Clone(e.credits), credits: len(e.credits), streams: map[sched.ID]*Stream{}}
}

func (h *headActor) Receive(c actor.Context) {
	h.events = h.events[:0]
	switch m := c.Message().(type) {
	case *submit:
		m.reply <- h.submit(m)
	case *cancel:
		h.cancel(m.stream)
	case *drawn:
		h.engine.binder.ledger.land(m.batch.Generation, true)
		h.events = h.sched.Commit(m.batch, h.events)
		h.home = append(h.home, m.credit)
	case *failed:
		h.engine.log.Warn("batch failed", slog.Uint64("batch", m.batch.ID), slog.Any("error", m.err))
		h.engine.binder.ledger.land(m.batch.Generation, false)
		h.events = h.sched.Fail(m.batch, m.err, h.events)
		h.home = append(h.home, m.credit)
	case *inquire:
		m.reply <- h.stats()
	case *leave:
		h.leaving = m.home
		for _, s := range h.streams {
			h.cancel(s)
		}
	default:
		return
	}
	h.deliver()
	h.send(c)
}

func (h *headActor) submit(m *submit) error {
	if h.leaving != nil {
		return ErrStopped
	}
	id, err := h.sched.Submit(m.request)
	if err != nil {
		return err
	}
	m.stream.id = id
	h.streams[id] = m.stream
	return nil
}

// cancel ends a stream's request. A stream that has ended, or was refused, is not in the list.
func (h *headActor) cancel(s *Stream) {
	if h.streams[s.id] == s {
		h.events = append(h.events, h.sched.Cancel(s.id)...)
	}
}

// deliver hands events to their streams, which never block.
func (h *headActor) deliver() {
	for i := range h.events {
		e := &h.events[i]
		s, ok := h.streams[e.ID]
		if !ok {
			continue
		}
		s.push(*e)
		if e.Done {
			delete(h.streams, e.ID)
		}
	}
	clear(h.events) // they hold logits and errors
}

// send fills batches while credits are at home.
func (h *headActor) send(c actor.Context) {
	for len(h.home) > 0 && h.leaving == nil && !h.engine.over() {
		b := h.home[len(h.home)-1]
		b.batch.Generation = h.engine.binder.ledger.depart()
		if !h.sched.Next(b.batch) {
			h.engine.binder.ledger.land(b.batch.Generation, false)
			return
		}
		h.home = h.home[:len(h.home)-1]
		b.err, b.home = nil, c.Self()
		c.Send(h.first, &b.pass)
	}
	if h.leaving != nil && !h.left && len(h.home) == h.credits {
		close(h.leaving)
		h.left = true
	}
}
