package sched

import (
	"fmt"

	"troupe/stages"
)

// flight is what is remembered of a batch on its way.
type flight struct {
	batch   uint64 // 0: at home
	parts   []part // in order of the batch's sequences
	decodes int    // decode rows
}

// part is a sequence's share of a batch; its draws are neighbours.
type part struct {
	seq   *sequence
	lo    int // first row that is given
	rows  int // of these; 0: one decode row
	draws int
}

func (s *Scheduler) inFlight() (n int) {
	for i := range s.flights {
		if s.flights[i].batch != 0 {
			n++
		}
	}
	return n
}

// atHome returns a record that is not in use, or nil when as many batches are in flight as may be.
func (s *Scheduler) atHome() *flight {
	for i := range s.flights {
		if s.flights[i].batch == 0 {
			return &s.flights[i]
		}
	}
	return nil
}

// flightOf finds the record of a batch that comes back.
func (s *Scheduler) flightOf(b *stages.Batch) *flight {
	for i := range s.flights {
		if f := &s.flights[i]; f.batch == b.ID && b.ID != 0 {
			return f
		}
	}
	panic(fmt.Sprintf("BUG: sched: batch %d comes back without being in flight", b.ID))
}

// decoding counts the batches in flight that have decode rows.
func (s *Scheduler) decoding() (n int) {
	for i := range s.flights {
		if s.flights[i].batch != 0 && s.flights[i].decodes > 0 {
			n++
		}
	}
	return n
}

// land empties the record of a batch that is back.
func (f *flight) land() {
	clear(f.parts)
	f.batch, f.parts, f.decodes = 0, f.parts[:0], 0
}
