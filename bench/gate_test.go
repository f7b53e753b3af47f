package bench

import (
	"testing"
	"time"

	"troupe/actors"
)

// TestGate plays turns to a gate: two prompts of 4 rows, two streams that decode, one of which ends first.
func TestGate(t *testing.T) {
	g := newGate(3)
	g.reset(0)
	play := func(rows ...int) {
		for _, n := range rows {
			g.turn(actors.Turn{Layer: 1, Expert: 0, Rows: 1})
			g.turn(actors.Turn{Layer: 1, Expert: -1, Rows: n}) // an earlier segment
			g.turn(actors.Turn{Layer: 3, Expert: -1, Rows: n})
			time.Sleep(time.Millisecond)
		}
	}
	play(4, 5, 2, 2, 2, 1)
	if at := g.prefilled(9); at.IsZero() || !at.Equal(g.steps[1].at) {
		t.Errorf("9 rows had passed at %v", at)
	}
	if at := g.prefilled(100); !at.IsZero() {
		t.Errorf("100 rows had passed at %v", at)
	}
	rows, experts, rate := g.decode(2)
	if rows != 2 || experts != 1 || rate <= 0 || rate > 2000 {
		t.Errorf("not held: %g rows and %g experts of a step, %g rows a second", rows, experts, rate)
	}

	g.reset(9)
	done := make(chan struct{})
	go func() { play(4, 5, 2, 2, 2, 1); close(done) }()
	if !g.hold(done, func() { // nothing else happens now
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.rows != 9 {
			t.Errorf("held after %d rows, want 9", g.rows)
		}
	}) {
		t.Fatal("the gate was not held")
	}
	<-done
	if rows, _, _ := g.decode(2); rows != 2 || g.decoded() != 7 {
		t.Errorf("held: %g rows of a step, %d in all, want 2 and 7", rows, g.decoded())
	}
	g.finish()

	g.reset(1)
	ended := make(chan struct{})
	close(ended)
	if g.hold(ended, func() {}) {
		t.Error("held, though all was over")
	}
	g.finish()
	play(1) // a batch that was still on its way
}
