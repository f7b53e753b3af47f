package sched

import "testing"

// begun is a request that has the first n tokens that it would get.
func (l *line) begun(n int, r Request) Request {
	for _, e := range l.wanted(r)[:n] {
		r.Made = append(r.Made, e.Token)
	}
	return r
}

// TestMadeInChunks: the tokens that a request comes with are computed like a longer prompt, and one is drawn behind the last.
func TestMadeInChunks(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 1, 3, 4
	l := newLine(t, c)
	l.mustSubmit(l.begun(3, generation(5, counting(0, 10)...)))
	l.steps("1:4", "1:4", "1:4", "back", "1:1", none, "back", "back", "back", "1", "back", none)
	l.drain()
	l.compare(1)
}

// TestMadeBehindBucket: behind a prompt with leading pads, tokens lie where its bucket has pads, and so in a later batch.
func TestMadeBehindBucket(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 1, 2, 20
	l := newLine(t, c)
	l.mustSubmit(l.begun(2, generation(4, 0, 7, 8)))
	l.steps("1:8", "1:2", "back", none, "back", "1", "back", none)
	l.drain()
	l.compare(1)
}

// TestMadeNeedsNoDraw: a bucket whose next token is there already asks for no result.
func TestMadeNeedsNoDraw(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Draws, c.Rows = 1, 1, 1, 20
	l := newLine(t, c)
	l.mustSubmit(generation(2, 5))
	l.mustSubmit(l.begun(1, generation(3, 0, 7, 8)))
	l.steps("1:1 2:8", "back")
	l.drain()
	l.compare(1)
	l.compare(2)
}

// TestMadeIsNotDecoding: a request whose tokens are being computed again is none of those that decode rows are dealt over.
func TestMadeIsNotDecoding(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 2, 3, 4
	l := newLine(t, c)
	l.mustSubmit(generation(9, 5))
	l.mustSubmit(generation(9, 6))
	l.steps("1:1 2:1", "back")
	l.mustSubmit(l.begun(4, generation(9, counting(3, 9)...)))
	l.steps("1 3:3", "2 3:3")
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
}
