package sched

import (
	"fmt"
	"testing"

	"troupe/stages"
)

// loop is a scheduler with sequences that decode, and batches that come back at once.
type loop struct {
	s      *Scheduler
	b      *stages.Batch
	events []Event
	r      Request
	n      int
}

// newLoop makes one in its steady state.
func newLoop(t testing.TB, sequences int) *loop {
	c := testConfig()
	c.Model.SequenceLen = 4096
	c.Stages, c.Batches, c.Rows, c.Draws, c.Sequences = 1, 1, 64, 64, sequences
	c.Blocks = sequences * c.Model.SequenceLen / 16
	l := &loop{s: newScheduler(t, c), b: newBatch(t, c), r: generation(4000, counting(0, 20)...), n: sequences}
	for range 200 {
		l.turn(t)
	}
	return l
}

// turn is one Next and one Commit, with new requests for those that have ended.
func (l *loop) turn(t testing.TB) {
	for st := l.s.Stats(); st.Running+st.Waiting < l.n; st = l.s.Stats() {
		if _, err := l.s.Submit(l.r); err != nil {
			t.Fatal(err)
		}
	}
	if !l.s.Next(l.b) {
		t.Fatal("nothing to run")
	}
	for range l.b.Draws {
		l.b.Drawn = append(l.b.Drawn, stages.Drawn{Token: 3})
	}
	l.events = l.s.Commit(l.b, l.events[:0])
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 64} {
		l := newLoop(t, n)
		if got := testing.AllocsPerRun(5000, func() { l.turn(t) }); got != 0 {
			t.Errorf("%d sequences: %v allocations a turn, want 0", n, got)
		}
	}
}

// BenchmarkTurn measures Next and Commit: what scheduling adds to a decoded batch.
func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("sequences=%d", n), func(b *testing.B) {
			l := newLoop(b, n)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				l.turn(b)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/token")
		})
	}
}
