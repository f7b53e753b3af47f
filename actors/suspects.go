package actors

import (
	"math"
	"slices"
	"sync"

	"troupe/stages"
)

// mostSuspects bounds the list (M2); the oldest goes.
const mostSuspects = 1000

// suspects is written by lanes, at once, and by the binder.
type suspects struct {
	mu      sync.Mutex
	since   uint64 // generation from which on the present binding has served
	binding string
	all     []Suspect
}

// serving notes what serves from a generation on.
func (s *suspects) serving(since uint64, binding string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.binding = since, binding
}

// from is the first generation of what serves, whatever it was interrupted by.
func (s *suspects) from() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// add notes a library that was found wrong while it served.
func (s *suspects) add(r stages.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, binding := s.since, s.binding
	if r.Generation < from { // of a binding that has gone meanwhile
		from, binding = r.Generation, ""
	}
	for _, old := range s.all { // another device has found it, too
		if old.Library == r.Library && old.From == from {
			return
		}
	}
	if len(s.all) == mostSuspects {
		s.all = slices.Delete(s.all, 0, 1)
	}
	s.all = append(s.all, Suspect{From: from, To: math.MaxUint64, Library: r.Library, Binding: binding, Reason: r.Difference.String()})
}

// until notes the last generation that suspects served in.
func (s *suspects) until(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		s.all[i].To = min(s.all[i].To, last)
	}
}

func (s *suspects) list() []Suspect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
