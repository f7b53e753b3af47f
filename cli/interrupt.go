package main

import (
	"errors"
	"sync"
	"time"
)

// errInterrupted is the cause of a context that Ctrl-C or SIGTERM has cancelled.
var errInterrupted = errors.New("interrupted")

// interrupts hands Ctrl-C and SIGTERM to whoever can stop what is going on. The first signal asks, a
// second one before the first is dealt with ends the program at once.
type interrupts struct {
	mu    sync.Mutex
	stack []*catcher
	exit  func(code int)
}

type catcher struct {
	cancel func()
	asked  time.Time // zero: not yet
}

// sameSignal is how close together signals count as one: timeout(1) and some shells send theirs to the
// process and to its group.
const sameSignal = 200 * time.Millisecond

// catch makes cancel the one to be asked until release is called.
func (s *interrupts) catch(cancel func()) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &catcher{cancel: cancel}
	s.stack = append(s.stack, c)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.stack {
			if s.stack[i] == c {
				s.stack = append(s.stack[:i], s.stack[i+1:]...)
				return
			}
		}
	}
}

// signal deals with one Ctrl-C or SIGTERM.
func (s *interrupts) signal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.stack) == 0 {
		s.exit(exitFailed)
		return
	}
	switch top := s.stack[len(s.stack)-1]; {
	case top.asked.IsZero():
		top.asked = time.Now()
		top.cancel()
	case time.Since(top.asked) > sameSignal:
		s.exit(exitFailed)
	}
}
