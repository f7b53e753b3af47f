package processor

import "testing"

// A thread that is apart for a few calls is moved; where that does not last, less and less often; and never again where
// it cannot be.
func TestLook(t *testing.T) {
	own, moves, can := uint32(1), 0, true
	n := Near{patience: firstPatience, own: func() uint32 { return own }, move: func(uint32) bool { moves++; return can }}
	look := func(times int, other uint32) (moved int) {
		before := moves
		for range times {
			n.Look(other)
		}
		return moves - before
	}
	for _, c := range []struct {
		what  string
		times int
		other uint32
		moves int
	}{
		{"an unknown place", 100, 0, 0},
		{"together", 100, 1, 0},
		{"apart now and then", firstPatience - 1, 2, 0},
		{"together again", 1, 1, 0},
		{"apart for a while", firstPatience, 2, 1},
		{"in vain", firstPatience, 2, 0},
		{"still in vain", firstPatience, 2, 1},
		{"together for long", settled, 1, 0},
		{"apart afterwards", firstPatience, 2, 1},
	} {
		if got := look(c.times, c.other); got != c.moves {
			t.Fatalf("%s: moved %d times in %d calls, want %d", c.what, got, c.times, c.moves)
		}
	}
	if got := look(1<<20, 2); got < 1000 || got > 1100 {
		t.Errorf("always apart: moved %d times in %d calls, want about one in %d", got, 1<<20, mostPatience)
	}
	can = false
	if got := look(10*mostPatience, 2); got != 1 {
		t.Errorf("moved %d times where that is impossible, want 1", got)
	}
}
