package sched

import (
	"fmt"
	"math"
	"slices"

	"troupe/stages"
)

// Commit takes the results of a batch that Next made and the pipeline has drawn from, and appends what
// is news to clients.
func (s *Scheduler) Commit(b *stages.Batch, events []Event) []Event {
	f := s.flightOf(b)
	if len(b.Drawn) != len(b.Draws) {
		panic(fmt.Sprintf("BUG: sched: batch %d comes back with %d of %d draws", b.ID, len(b.Drawn), len(b.Draws)))
	}
	drawn := b.Drawn
	for i, p := range f.parts {
		p.seq.inFlight--
		p.seq.back += p.rows
		p.seq.latest = max(p.seq.latest, b.Generation) // a replay may have been of a later one
		if !p.seq.over {
			if p.seq.trace {
				p.seq.routing = b.AppendRouting(p.seq.routing, i)
			}
			events = s.take(p, drawn[:p.draws], events)
		}
		drawn = drawn[p.draws:]
		s.release(p.seq)
	}
	f.land()
	s.admit()
	return events
}

// Fail ends the requests that have rows in a batch; the others go on.
func (s *Scheduler) Fail(b *stages.Batch, err error, events []Event) []Event {
	f := s.flightOf(b)
	for _, p := range f.parts {
		p.seq.inFlight--
		if !p.seq.over {
			events = s.end(p.seq, Failed, err, events)
		}
		s.release(p.seq)
	}
	f.land()
	s.admit()
	return events
}

// FailAll ends all requests: those that run, and those that wait. Batches on their way still come back, by Commit or Fail.
func (s *Scheduler) FailAll(err error, events []Event) []Event {
	for _, q := range slices.Concat(s.running, s.waiting) {
		events = s.end(q, Failed, err, events)
		s.release(q)
	}
	return events
}

// take hands a sequence its share of a batch's results.
func (s *Scheduler) take(p part, drawn []stages.Drawn, events []Event) []Event {
	q := p.seq
	for i, d := range drawn {
		if d.Err != nil {
			return s.end(q, Failed, fmt.Errorf("sched: request %d: position %d: %w", q.id, q.position(p, i), d.Err), events)
		}
		e := Event{ID: q.id, LogProb: d.LogProb, Generation: q.latest, Since: q.since}
		switch q.mode {
		case Generate:
			if d.Token == q.eos {
				return s.end(q, EOS, nil, events)
			}
			e.Index, e.Token, e.Routing = q.made, d.Token, q.routed(math.MaxInt)
			q.tokens = append(q.tokens, d.Token)
			q.made++
			s.count.tokens++
		case Score:
			e.Index = q.position(p, i)
			e.Token, e.Routing = q.prompt[e.Index], q.routed(p.lo+i)
		case Logits:
			e.Index = p.lo + i
			e.Token, e.Logits, e.Routing = q.prompt[e.Index], d.Logits, q.routed(p.lo+i)
		}
		q.told++
		events = append(events, e)
	}
	switch {
	case q.mode == Generate && q.made == q.most, q.mode != Generate && q.back == q.rows:
		return s.end(q, Length, nil, events)
	case q.mode == Generate && len(drawn) > 0:
		s.ready = append(s.ready, q)
	}
	return events
}

// position is that of the token which draw i of a share is about.
func (q *sequence) position(p part, i int) int {
	if q.mode == Generate {
		return len(q.prompt) + q.made
	}
	return p.lo + i + 1
}
