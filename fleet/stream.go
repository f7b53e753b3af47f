package fleet

import (
	"context"
	"iter"
	"sync"

	"troupe/actors"
	"troupe/stages/sched"
)

// Stream is actors.Stream of the replica that has the request.
type Stream struct {
	*actors.Stream
	replica int
	settle  func() // gives the replica its load back; the first call counts
	stop    func() bool
}

func (f *Fleet) follow(ctx context.Context, s *actors.Stream, replica, cost int) *Stream {
	settle := sync.OnceFunc(func() { f.give(replica, cost) })
	// A reader may leave before the end: the request is over then when its context is.
	return &Stream{Stream: s, replica: replica, settle: settle, stop: context.AfterFunc(ctx, settle)}
}

// Replica is the number of the replica that has the request.
func (s *Stream) Replica() int { return s.replica }

// Next waits for an event. It returns false after the last one, which has Done set.
func (s *Stream) Next() (sched.Event, bool) {
	e, ok := s.Stream.Next()
	if !ok || e.Done {
		s.stop()
		s.settle()
	}
	return e, ok
}

// Events yields the request's events; the last one has Done set. Breaking off early leaves the request running, and its
// replica laden with it, until its context ends.
func (s *Stream) Events() iter.Seq[sched.Event] {
	return func(yield func(sched.Event) bool) {
		for {
			e, ok := s.Next()
			if !ok || !yield(e) {
				return
			}
		}
	}
}
