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
	epoch   uint64       // that batches leave in
	stages  []*actor.PID // in order
	home    []*credit    // credits at home
	away    []*credit    // in flight, in the order in which they left
	credits int          // all there are
	mend    *mending     // nil: nothing is lost
	moves   []func()     // tell of moves that are over
	lacks   error        // why nothing can be computed until a restart; nil: it can
	reaper  *reaper      // nil: nobody is to die
	streams map[sched.ID]*Stream
	events  []sched.Event // used again and again
	leaving chan struct{} // nil until the engine stops; closed when all credits are home
	left    bool          // it has been closed
}

func newHead(e *Engine, s *sched.Scheduler, chaos *Chaos) *headActor {
	return &headActor{engine: e, sched: s, stages: e.keeper.stages(), home: slices.Clone(e.credits), credits: len(e.credits),
		streams: map[sched.ID]*Stream{}, reaper: newReaper(chaos, e.keeper)}
}

func (h *headActor) Receive(c actor.Context) {
	h.events = h.events[:0]
	switch m := c.Message().(type) {
	case *submit:
		m.reply <- h.submit(m)
	case *cancel:
		h.cancel(m.stream)
	case *drawn:
		h.drawn(m.credit)
	case *failed:
		h.failed(m.credit)
	case *restart:
		h.restart(m)
	case *short:
		h.short(m.why)
	case *inquire:
		m.reply <- h.stats()
		return // nothing has changed
	case *leave:
		h.leaving = m.home
		for _, s := range h.streams {
			h.cancel(s)
		}
		if h.lacks != nil {
			h.failAll(ErrStopped)
		}
	default:
		return
	}
	h.deliver()
	h.send(c)
	h.deliver() // what a recovery has ended
}

// drawn takes a batch back. One of an earlier epoch than the head's has been taken for lost.
func (h *headActor) drawn(c *credit) {
	switch {
	case c.epoch != h.epoch:
	case c.replay:
		h.replayHome(c, nil)
	default:
		h.away = remove(h.away, c)
		h.engine.binder.ledger.land(c.batch.Generation, true)
		h.events = h.sched.Commit(c.batch, h.events)
		h.home = append(h.home, c)
		h.moved()
		h.reaper.reap(h.sched.Tokens())
	}
}

// failed takes a batch back that a kernel could not compute.
func (h *headActor) failed(c *credit) {
	if c.epoch != h.epoch {
		return
	}
	h.engine.log.Warn("batch failed", slog.Uint64("batch", c.batch.ID), slog.Any("error", c.err))
	if c.replay {
		h.replayHome(c, c.err)
		return
	}
	h.away = remove(h.away, c)
	h.fail(c)
}

// fail ends the requests of a batch that is not on its way any more.
func (h *headActor) fail(c *credit) {
	h.engine.binder.ledger.land(c.batch.Generation, false)
	h.events = h.sched.Fail(c.batch, c.err, h.events)
	h.home = append(h.home, c)
	h.moved()
}

func (h *headActor) submit(m *submit) error {
	if h.leaving != nil {
		return ErrStopped
	}
	if h.lacks != nil && h.engine.keeper.options.OnLoss == FailOnLoss {
		return h.lacks
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
	h.events = h.events[:0]
}

// send has batches leave, unless someone has died and is not back: first what was lost, then new ones.
func (h *headActor) send(c actor.Context) {
	if h.epoch == h.engine.epoch.Load() && (h.mend == nil || h.mended(c)) {
		h.fill(c)
	}
	if h.leaving != nil && !h.left && (h.mend == nil || h.lacks != nil) && len(h.home) == h.credits {
		close(h.leaving)
		h.left = true
	}
}

// fill fills batches while credits are at home.
func (h *headActor) fill(c actor.Context) {
	for len(h.home) > 0 && h.leaving == nil && !h.engine.over() {
		b := h.home[len(h.home)-1]
		b.batch.Generation = h.engine.binder.ledger.depart()
		if !h.sched.Next(b.batch) {
			h.engine.binder.ledger.land(b.batch.Generation, false)
			return
		}
		h.home = h.home[:len(h.home)-1]
		b.counted, b.looked, b.deaths = 0, 0, 0
		h.depart(c, b)
	}
}

// depart sends a batch off.
func (h *headActor) depart(c actor.Context, b *credit) {
	h.away = append(h.away, b)
	c.Send(h.stages[0], b.leave(h.epoch, c.Self()))
}
