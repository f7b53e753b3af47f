package sched

import (
	"errors"
	"math"
	"slices"

	"troupe/kernels"
	"troupe/stages/kv"
)

// ErrFull refuses a request because as many wait as may.
var ErrFull = errors.New("sched: as many requests wait as may: try again when one has ended")

// Scheduler holds requests and decides which rows run next. One holder at a time.
type Scheduler struct {
	c       Config
	groups  int // batches that decode rows are dealt over
	pool    *kv.Pool
	waiting []*sequence // in order of arrival; the first cannot run yet
	running []*sequence // in order of arrival
	ready   []*sequence // of the running, with a decode row to run; longest ready first
	spare   []*sequence
	flights []flight // [Batches]

	promptsFirst bool // in the next batch
	lastID       ID
	count        counters
}

// Stats is a look at a scheduler.
type Stats struct {
	Waiting, Running int    // requests
	InFlight         int    // batches
	Batches          uint64 // made since the start
	PromptRows       uint64 // in them
	DecodeRows       uint64
	Tokens           uint64 // new ones that came back, those of requests that were over not counted
	Cache            kv.Stats
}

type counters struct{ batches, promptRows, decodeRows, tokens uint64 }

// New makes a scheduler without requests.
func New(c Config) (*Scheduler, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Scheduler{c: c, groups: min(c.Stages, c.Batches), pool: kv.NewPool(c.Blocks, kernels.BlockTokens), flights: make([]flight, c.Batches)}, nil
}

// Submit takes a request in. It returns ErrFull when the line is full, and what Check says of a request
// that can never run. The prompt is copied.
func (s *Scheduler) Submit(r Request) (ID, error) {
	if err := s.Check(r); err != nil {
		return 0, err
	}
	p := s.c.layoutOf(r)
	if len(s.waiting) >= s.c.Queue && !(len(s.waiting) == 0 && s.canRun(p)) {
		return 0, ErrFull
	}
	q := &sequence{}
	if n := len(s.spare); n > 0 {
		q, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	s.lastID++
	q.start(s.lastID, r, p, int32(s.c.Model.PadToken))
	s.waiting = append(s.waiting, q)
	s.admit()
	return q.id, nil
}

// canRun reports whether there is a place and blocks for a request now.
func (s *Scheduler) canRun(p layout) bool {
	cache := s.pool.Stats()
	return len(s.running) < s.c.Sequences && s.pool.BlocksFor(p.positions) <= cache.Blocks-cache.Lent
}

// admit lets waiting requests run, strictly in order: whoever is first in line holds up the others until
// there is room, so that nobody waits for ever.
func (s *Scheduler) admit() {
	for len(s.waiting) > 0 && s.canRun(s.waiting[0].layout) {
		q := s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		q.table, _ = s.pool.Take(s.pool.BlocksFor(q.positions), q.table)
		s.running = append(s.running, q)
	}
}

// Cancel ends a request and returns its last event; nothing when it is over already.
func (s *Scheduler) Cancel(id ID) []Event {
	for _, list := range [][]*sequence{s.running, s.waiting} {
		if i := slices.IndexFunc(list, func(q *sequence) bool { return q.id == id }); i >= 0 {
			q := list[i]
			events := s.end(q, Cancelled, nil, nil)
			s.release(q)
			s.admit()
			return events
		}
	}
	return nil
}

// end takes a sequence out of every list and appends its last event. Its blocks stay with it.
func (s *Scheduler) end(q *sequence, why Finish, err error, events []Event) []Event {
	s.waiting, s.running, s.ready = remove(s.waiting, q), remove(s.running, q), remove(s.ready, q)
	q.over = true
	return append(events, Event{ID: q.id, Index: q.told, Generation: q.latest, Since: q.since, Routing: q.routed(math.MaxInt), Done: true, Finish: why, Err: err})
}

func remove(list []*sequence, q *sequence) []*sequence {
	if i := slices.Index(list, q); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// release gives the blocks of a sequence back once it is over and no batch holds rows of it: a batch on
// its way still writes into them.
func (s *Scheduler) release(q *sequence) {
	if !q.over || q.inFlight > 0 {
		return
	}
	s.pool.Give(q.table)
	s.spare = append(s.spare, q)
}

// Tokens is Stats.Tokens.
func (s *Scheduler) Tokens() uint64 { return s.count.tokens }

// Stats counts requests, batches and blocks.
func (s *Scheduler) Stats() Stats {
	return Stats{Waiting: len(s.waiting), Running: len(s.running), InFlight: s.inFlight(), Batches: s.count.batches,
		PromptRows: s.count.promptRows, DecodeRows: s.count.decodeRows, Tokens: s.count.tokens, Cache: s.pool.Stats()}
}
