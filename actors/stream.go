package actors

import (
	"context"
	"iter"
	"sync"

	"troupe/stages/sched"
)

// Stream receives the events of one request. The engine never waits for its reader: what is not yet read
// is kept, at most one event for each token (or prompt position) that the request asked for and one for
// its end. One goroutine reads.
type Stream struct {
	engine *Engine
	id     sched.ID // the head's

	mu    sync.Mutex
	in    []sched.Event // arrived, not yet seen by the reader
	ended bool          // in holds, or held, the last event
	stop  func() bool   // ends the watch over the request's context
	wake  chan struct{} // holds one token when in may have something

	// The reader's.
	out      []sched.Event
	read     int // of out
	finished bool
}

func newStream(e *Engine) *Stream { return &Stream{engine: e, wake: make(chan struct{}, 1)} }

// Events yields the request's events; the last one has Done set. Breaking off early leaves the request
// running: cancel its context to end it.
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

// Next waits for an event. It returns false after the last one, which has Done set.
func (s *Stream) Next() (sched.Event, bool) {
	if s.finished {
		return sched.Event{}, false
	}
	for s.read == len(s.out) && !s.fetch() {
		select {
		case <-s.wake:
		case <-s.engine.ended:
			if !s.fetch() { // the end of the engine is the end of the request
				s.finished = true
				s.end()
				return sched.Event{ID: s.id, Done: true, Finish: sched.Failed, Err: s.engine.reason}, true
			}
		}
	}
	e := s.out[s.read]
	s.out[s.read] = sched.Event{}
	s.read++
	s.finished = e.Done
	return e, true
}

// fetch takes what has arrived, leaving the read slice in exchange.
func (s *Stream) fetch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.in, s.read = s.in, s.out[:0], 0
	return len(s.out) > 0
}

func (s *Stream) push(e sched.Event) {
	s.mu.Lock()
	s.in = append(s.in, e)
	s.mu.Unlock()
	if e.Done {
		s.end()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watch has the request cancelled when its context is.
func (s *Stream) watch(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.engine.tell(&cancel{s}) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		stop()
	}
	s.stop = stop
}

// end ends the watch.
func (s *Stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.stop != nil {
		s.stop()
	}
}
