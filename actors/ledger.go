package actors

import (
	"slices"
	"sync"
)

// ledger knows which generation new batches belong to, and how many of each are on their way (B1). The head
// writes in it, the binder reads.
type ledger struct {
	mu      sync.Mutex
	current uint64
	live    []account // of generations that have a program
	watched uint64    // generation
	until   int       // batches of it that are to come home before the binder is woken; 0: it is not
	wake    chan struct{}
}

type account struct {
	generation uint64
	away       int // batches on their way
	home       int // that came home with results
}

func newLedger() *ledger {
	return &ledger{live: []account{{}}, wake: make(chan struct{}, 1)}
}

func (l *ledger) of(generation uint64) *account {
	i := slices.IndexFunc(l.live, func(a account) bool { return a.generation == generation })
	return &l.live[i]
}

// depart returns the generation of a batch that is about to leave.
func (l *ledger) depart() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(l.current).away++
	return l.current
}

// land notes a batch that has come home. One that did not leave after all has no results either.
func (l *ledger) land(generation uint64, results bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(generation)
	a.away--
	if results {
		a.home++
	}
	if a.away == 0 && generation != l.current || l.due(a) {
		l.rouse()
	}
}

// due tells whether as many batches are home as are waited for.
func (l *ledger) due(a *account) bool {
	return l.until > 0 && a.generation == l.watched && a.home >= l.until
}

func (l *ledger) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// bind has new batches belong to a generation.
func (l *ledger) bind(generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = append(l.live, account{generation: generation})
	l.current, l.until = generation, 0
}

// watch wakes the binder when so many batches of the current generation are home, be it now.
func (l *ledger) watch(batches int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched, l.until = l.current, batches
	if l.due(l.of(l.current)) {
		l.rouse()
	}
}

// home is how many batches of the current generation have come home with results.
func (l *ledger) home() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(l.current).home
}

// idle tells whether no batch is on its way.
func (l *ledger) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(l.live, func(a account) bool { return a.away > 0 })
}

// drained takes earlier generations off that have no batch on its way.
func (l *ledger) drained() (generations []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = slices.DeleteFunc(l.live, func(a account) bool {
		gone := a.generation != l.current && a.away == 0
		if gone {
			generations = append(generations, a.generation)
		}
		return gone
	})
	return generations
}
