package sched

import (
	"slices"

	"troupe/stages"
)

// Replay has rows computed again whose batches have come back, for a stage that has lost its cache: of every
// request that goes on, the prompt as far as it came back and the new tokens that have been fed. What it does
// not have is in batches on their way, which are to be sent again behind it.
//
// Rows of a bucket in front of the prompt and behind it are left out: nothing that is still to be computed
// sees their keys, so that their values may be any numbers.
//
// Batches must have come back in the order in which Next made them. While there is a replay, Next may not be
// called; everything else may.
type Replay struct {
	s     *Scheduler
	seqs  []*sequence // held: their blocks stay theirs until End
	at    int         // of these, the one whose rows come next
	row   int         // of it
	parts map[*stages.Batch][]*sequence
}

// Replay begins to have rows computed again.
func (s *Scheduler) Replay() *Replay {
	r := &Replay{s: s, seqs: slices.Clone(s.running), parts: map[*stages.Batch][]*sequence{}}
	for i := range s.flights {
		for _, p := range s.flights[i].parts { // a request that is over still has rows on their way
			if !slices.Contains(r.seqs, p.seq) {
				r.seqs = append(r.seqs, p.seq)
			}
		}
	}
	for _, q := range r.seqs {
		q.inFlight++
	}
	return r
}

// Next fills an empty batch with rows that are wanted again, in order of position, and seals it. Nothing is
// drawn from it, its ID is 0. False means that there are no more.
func (r *Replay) Next(b *stages.Batch) bool {
	b.Reset(0, b.Generation)
	delete(r.parts, b)
	for ; r.at < len(r.seqs); r.at, r.row = r.at+1, 0 {
		q := r.seqs[r.at]
		if q.over && (q.inFlight == 1 || q.blamed) { // in flight by this replay alone, or what would kill again
			continue
		}
		if r.fill(b, q); r.row < q.done() { // the batch is full
			break
		}
	}
	b.Seal()
	return b.Frame.Rows.N > 0
}

// fill adds rows of a sequence as far as there is room.
func (r *Replay) fill(b *stages.Batch, q *sequence) {
	room, _ := b.Room()
	n := min(room, q.done()-r.row)
	if n == 0 || len(b.Frame.Rows.Tables) == b.Limits().Sequences {
		return
	}
	at := b.AddSequence(q.table, q.skip, q.policy)
	for range n {
		b.AddRow(at, q.doneRow(r.row, int32(r.s.c.Model.PadToken)))
		r.row++
	}
	r.parts[b] = append(r.parts[b], q)
	q.latest = max(q.latest, b.Generation)
}

// Fail ends the requests that have rows in a batch of the replay.
func (r *Replay) Fail(b *stages.Batch, err error, events []Event) []Event {
	for _, q := range r.parts[b] {
		if !q.over {
			events = r.s.end(q, Failed, err, events)
		}
	}
	return events
}

// Blame notes that a part has died at a batch of the replay, and ends the requests of which so many batches
// have been that: their rows are not computed again any more.
func (r *Replay) Blame(b *stages.Batch, most int, err error, events []Event) []Event {
	for _, q := range r.parts[b] {
		if q.deaths++; q.deaths < most {
			continue
		}
		if q.blamed = true; !q.over {
			events = r.s.end(q, Failed, err, events)
		}
	}
	return events
}

// End lets go of everything; no batch of the replay may be on its way any more.
func (r *Replay) End() {
	for _, q := range r.seqs {
		q.inFlight--
		r.s.release(q)
	}
	r.seqs = nil
	r.s.admit()
}

// done counts the rows whose keys and values may still be read, and which came back.
func (q *sequence) done() int {
	if q.made > q.again {
		return q.donePrompt() + q.made - 1
	}
	return q.donePrompt() + max(q.back-q.rows, 0)
}

// donePrompt counts those of the prompt.
func (q *sequence) donePrompt() int { return max(min(q.back, len(q.prompt))-q.first, 0) }

// doneRow is one of these rows.
func (q *sequence) doneRow(i int, pad int32) stages.Row {
	if n := q.donePrompt(); i >= n {
		return q.newRow(i - n)
	}
	return q.promptRow(q.first+i, pad)
}
