package actors

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages"
)

// seat is the place of a stage in the pipeline, whoever takes it: an actor here, or one that stands for a worker's.
type seat struct {
	index  int
	span   stages.Span
	device atomic.Int32 // it is on
	trace  Trace        // may be nil
	busy   atomic.Int64 // nanoseconds in kernels
	inside atomic.Int32 // batches
	since  atomic.Int64 // from when on the first of them is there, nanoseconds since epoch

	next   *actor.PID      // nil on the last stage; the lane's
	before *stages.Journal // of the boundary in front: what is computed again enters from it; nil: none
	behind *stages.Journal // of the boundary behind; nil: none
}

// taker is an actor in a seat.
type taker interface {
	actor.Actor
	// forget drops all batches, on the lane; the head sends them again.
	forget()
}

// enter readies a batch that has come to the seat.
func (s *seat) enter(b *credit) {
	if s.inside.Add(1) == 1 {
		s.since.Store(int64(time.Since(epoch)))
	}
	if b.replay && b.enter == s.index && s.before != nil {
		s.before.Restore(b.batch)
	}
}

// exit notes that a batch is not there any more.
func (s *seat) exit() {
	s.inside.Add(-1)
	s.since.Store(int64(time.Since(epoch)))
}

// passOn sends a batch on that has passed the span.
func (s *seat) passOn(c actor.Context, b *credit) {
	switch {
	case s.next == nil || b.replay && b.until == s.index:
		c.Send(b.home, &b.drawn)
	default:
		if s.behind != nil && !b.replay {
			s.behind.Keep(b.batch)
		}
		c.Send(s.next, &b.pass)
	}
}
