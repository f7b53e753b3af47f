package sched

import (
	"fmt"
	"slices"

	"troupe/stages"
)

// Next fills an empty batch and seals it. False means that nothing can run before a batch comes back or
// a request comes in. The batch must have the limits of Config.Limits at least; its Generation is left
// alone.
func (s *Scheduler) Next(b *stages.Batch) bool {
	f := s.atHome()
	if f == nil {
		return false
	}
	if has, want := b.Limits(), s.c.Limits(); has.Rows < want.Rows || has.Draws < want.Draws || has.Sequences < want.Sequences || has.Experts < want.Experts {
		panic(fmt.Sprintf("BUG: sched: batch with limits %+v, want at least %+v", has, want))
	}
	b.Reset(s.count.batches+1, b.Generation)
	if s.promptsFirst {
		s.addPrompts(b, f)
		s.addDecodes(b, f)
	} else {
		s.addDecodes(b, f)
		s.addPrompts(b, f)
	}
	if b.Frame.Rows.N == 0 {
		return false
	}
	s.count.batches++
	f.batch = b.ID
	b.Seal()
	return true
}

// addDecodes adds this batch's share of the decode rows. Rows that become ready while all groups are in
// flight wait for the next one to come back, and so join it instead of going in a small batch of their own.
func (s *Scheduler) addDecodes(b *stages.Batch, f *flight) {
	if len(s.ready) == 0 || s.decoding() >= s.groups {
		return
	}
	active := 0
	for _, q := range s.running {
		if q.made > q.again {
			active++
		}
	}
	rows, draws := b.Room()
	n := min((active+s.groups-1)/s.groups, len(s.ready), rows, draws)
	for _, q := range s.ready[:n] {
		at := q.join(b)
		row, draw := q.decodeRow(q.made - 1)
		b.AddRow(at, row)
		b.AddDraw(draw)
		q.inFlight++
		f.parts = append(f.parts, part{seq: q, draws: 1})
	}
	s.ready = slices.Delete(s.ready, 0, n)
	f.decodes = n
	s.count.decodeRows += uint64(n)
}

// addPrompts fills the batch with rows of prompts, and of new tokens that requests came with, oldest first.
func (s *Scheduler) addPrompts(b *stages.Batch, f *flight) {
	waiting, served := false, false
	for _, q := range s.running {
		if q.sent == q.given() {
			continue
		}
		waiting = true
		n := q.chunk(b)
		if n == 0 {
			break // in order: who comes later does not overtake
		}
		served = true
		s.addChunk(b, f, q, n)
	}
	s.promptsFirst = waiting && !served
}

func (s *Scheduler) addChunk(b *stages.Batch, f *flight, q *sequence, n int) {
	if q.sent == 0 {
		q.since = b.Generation
	}
	at := q.join(b)
	p := part{seq: q, lo: q.sent, rows: n}
	for i := q.sent; i < q.sent+n; i++ {
		row, draw, wanted := q.givenRow(i, int32(s.c.Model.PadToken))
		b.AddRow(at, row)
		if wanted {
			b.AddDraw(draw)
			p.draws++
		}
	}
	q.sent += n
	q.inFlight++
	f.parts = append(f.parts, p)
	s.count.promptRows += uint64(n)
}

// join adds the sequence to a batch and returns its index there.
func (q *sequence) join(b *stages.Batch) int {
	at := b.AddSequence(q.table, q.skip, q.policy)
	if q.trace {
		b.Trace(at)
	}
	return at
}
