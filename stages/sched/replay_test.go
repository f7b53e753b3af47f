package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/stages"
)

// lose empties the fake's cache and has it computed again, with the batches in flight behind it.
func (l *line) lose(b *stages.Batch) {
	for layer := range l.fake.cache {
		clear(l.fake.cache[layer])
	}
	r := l.s.Replay()
	for r.Next(b) {
		if len(b.Draws) > 0 || b.ID != 0 {
			l.t.Fatalf("batch %d of a replay has %d draws, want none, and no number", b.ID, len(b.Draws))
		}
		l.fake.run(b)
	}
	r.End()
	for _, lost := range l.out {
		lost.Rewind()
	}
	l.ran = 0
	l.check()
}

// Whenever a cache is lost, what is computed again is what it held: every request gets what it gets alone.
func TestReplay(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		c := testConfig()
		c.Stages, c.Batches = 1+rng.IntN(4), 1+rng.IntN(5)
		c.Rows, c.Draws = 1+rng.IntN(40), 1+rng.IntN(12)
		c.Sequences, c.Queue, c.Blocks = 1+rng.IntN(8), rng.IntN(6), 3+rng.IntN(12)
		l, twin := newLine(t, c), newBatch(t, c)
		for range 150 {
			switch rng.IntN(8) {
			case 0, 1:
				l.submit(l.half(rng, randomRequest(rng, c.Model)))
			case 2, 3:
				l.next()
			case 4:
				l.compute()
			case 5:
				if l.ran > 0 {
					l.commit(0)
				}
			case 6:
				l.lose(twin)
			case 7:
				if rng.IntN(4) == 0 && l.s.lastID > 0 {
					l.cancel(ID(1 + rng.Uint64N(uint64(l.s.lastID))))
				}
			}
		}
		l.drain()
		for id := range l.asked {
			l.compare(id)
		}
	}
}

// A request that is cancelled while its rows are computed again keeps its blocks until the replay ends; one that is
// blamed too often ends.
func TestReplayEnds(t *testing.T) {
	c := testConfig()
	l := newLine(t, c)
	ids := []ID{}
	for range 2 {
		id, err := l.submit(generation(8, counting(0, 20)...))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for range 6 {
		l.round()
	}
	for len(l.out) > 0 {
		l.compute()
		l.commit(0)
	}
	r, b := l.s.Replay(), newBatch(t, c)
	if !r.Next(b) {
		t.Fatal("nothing to compute again")
	}
	lent := l.s.Stats().Cache.Lent
	l.note(l.s.Cancel(ids[0]))
	if got := l.s.Stats().Cache.Lent; got != lent {
		t.Errorf("%d blocks lent after the cancel, want %d: the replay still writes to them", got, lent)
	}
	for r.Next(b) {
	}
	r.End()
	if got := l.s.Stats().Cache.Lent; got >= lent {
		t.Errorf("%d blocks lent after the replay, want fewer than %d", got, lent)
	}
	var events []Event
	for i := range 3 {
		if len(events) > 0 {
			t.Fatalf("ended after %d deaths, want 3", i)
		}
		r = l.s.Replay()
		r.Next(b)
		events = r.Blame(b, 3, ErrFull, nil)
		r.End()
	}
	if len(events) != 1 || events[0].ID != ids[1] || events[0].Err != ErrFull {
		t.Errorf("events %+v, want the end of request %d", events, ids[1])
	}
	l.note(events)
	l.drain()
}

// What is computed again belongs to the generation that does it, also for tokens of a batch sent again under its own:
// who looks for tokens of a bad library must find them.
func TestReplayMovesGeneration(t *testing.T) {
	l := newLine(t, testConfig())
	if _, err := l.submit(generation(3, counting(0, 5)...)); err != nil {
		t.Fatal(err)
	}
	b := newBatch(t, l.s.c)
	generations := []uint64{}
	for i := range 2 {
		b.Generation = 1
		if !l.s.Next(b) {
			t.Fatal("nothing to compute")
		}
		if i == 1 { // lost, and meanwhile another generation has begun
			r, twin := l.s.Replay(), newBatch(t, l.s.c)
			for twin.Generation = 2; r.Next(twin); {
				l.fake.run(twin)
			}
			r.End()
			b.Rewind()
		}
		l.fake.run(b)
		for _, e := range l.s.Commit(b, nil) {
			generations = append(generations, e.Generation)
		}
	}
	if !slices.Equal(generations, []uint64{1, 2}) {
		t.Errorf("tokens of the generations %d, want 1 and 2", generations)
	}
}

// Rows that have killed too often are not computed again for the sake of others of their request that are on their way:
// the deaths would have no end.
func TestReplayLeavesOutWhoKills(t *testing.T) {
	l := newLine(t, testConfig())
	if _, err := l.submit(generation(3, counting(0, 5)...)); err != nil {
		t.Fatal(err)
	}
	b, twin := newBatch(t, l.s.c), newBatch(t, l.s.c)
	l.s.Next(b)
	l.fake.run(b)
	l.s.Commit(b, nil)
	if !l.s.Next(b) {
		t.Fatal("no row of a new token is on its way")
	}
	for i := range 3 {
		r := l.s.Replay()
		if !r.Next(twin) {
			t.Fatalf("nothing to compute again after %d deaths", i)
		}
		r.Blame(twin, 3, ErrFull, nil)
		r.End()
	}
	r := l.s.Replay()
	if r.Next(twin) {
		t.Error("rows that have killed 3 times are computed again")
	}
	r.End()
	l.fake.run(b)
	if l.s.Commit(b, nil); l.s.Stats().Cache.Lent != 0 {
		t.Error("blocks are still lent")
	}
}
