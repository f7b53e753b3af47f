package actors

import (
	"math"
	"slices"
	"sync"

	"troupe/stages"
)

// mostSuspects bounds the lists (M2).
const mostSuspects = 1000

// suspects is written by lanes, at once, and by the binder.
type suspects struct {
	mu    sync.Mutex
	spans []span // all generations so far, in order; the last one is open
	all   []Suspect
}

// span is a run of generations with one binding.
type span struct {
	from, to  uint64
	binding   string
	libraries []string // that have served in it
}

// serving notes what serves from a generation on.
func (s *suspects) serving(from uint64, binding string, libraries []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spans); n > 0 {
		last := &s.spans[n-1]
		if last.binding == binding && slices.Equal(last.libraries, libraries) {
			return
		}
		last.to = from - 1
	}
	for i := range s.all {
		if !slices.Contains(libraries, s.all[i].Library) {
			s.all[i].To = min(s.all[i].To, from-1)
		}
	}
	if len(s.spans) == mostSuspects { // the oldest two become one
		old := &s.spans[1]
		old.from, old.libraries = s.spans[0].from, union(old.libraries, s.spans[0].libraries)
		s.spans = slices.Delete(s.spans, 0, 1)
	}
	s.spans = append(s.spans, span{from: from, to: math.MaxUint64, binding: binding, libraries: libraries})
}

func union(a, b []string) []string {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(slices.Clone(a), x)
		}
	}
	return a
}

// rescued notes that a library has served in a generation where another one failed.
func (s *suspects) rescued(generation uint64, library string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.spans {
		if p := &s.spans[i]; p.from <= generation && generation <= p.to {
			p.libraries = union(p.libraries, []string{library})
		}
	}
}

// from is the first generation of the binding that serves.
func (s *suspects) from() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans[len(s.spans)-1].from
}

// first is the first generation that a library is suspected in; that from which on the present binding serves if
// it is not suspected.
func (s *suspects) first(library string) uint64 {
	for _, x := range s.list() {
		if x.Library == library {
			return x.From
		}
	}
	return s.from()
}

// add notes a library that was found wrong while it served: wherever it has served, nobody knows since when it is.
func (s *suspects) add(r stages.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Suspect
	for _, p := range s.spans {
		if !slices.Contains(p.libraries, r.Library) {
			continue
		}
		if n := len(found); n > 0 && found[n-1].To+1 == p.from {
			found[n-1].To = p.to
			continue
		}
		found = append(found, Suspect{From: p.from, To: p.to, Library: r.Library, Binding: p.binding, Reason: r.Difference.String()})
	}
	for _, x := range found {
		known := func(old Suspect) bool { return old.Library == x.Library && old.From <= x.From && x.To <= old.To }
		if !slices.ContainsFunc(s.all, known) { // another device may have found it, too
			s.all = append(s.all, x)
		}
	}
	if more := len(s.all) - mostSuspects; more > 0 {
		s.all = slices.Delete(s.all, 0, more)
	}
}

func (s *suspects) list() []Suspect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
