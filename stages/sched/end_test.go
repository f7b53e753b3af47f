package sched

import (
	"errors"
	"strings"
	"testing"

	"troupe/stages"
)

// busy is a run in which something of every kind happens; step i of it is one call into the scheduler.
func busy(t *testing.T) *line {
	c := testConfig()
	c.Stages, c.Batches, c.Rows, c.Draws, c.Sequences, c.Blocks = 2, 3, 8, 6, 3, 9
	l := newLine(t, c)
	score := generation(0, counting(5, 9)...)
	score.Mode = Score
	half := generation(6, 0, 8, 9, 10)
	for _, e := range l.wanted(half)[:3] {
		half.Made = append(half.Made, e.Token)
	}
	for _, r := range []Request{generation(9, counting(0, 20)...), generation(5, 0, 4, 0, 5), score, generation(30, 7), half, generation(4, counting(3, 12)...)} {
		l.mustSubmit(r)
	}
	return l
}

// step makes one move: the first that is possible of sending, computing and bringing back.
func (l *line) step() bool {
	switch {
	case l.next():
	case l.compute():
	case len(l.out) > 0:
		l.commit(0)
	default:
		return false
	}
	return true
}

// TestCancelAtEveryMoment cancels each request after each number of steps: the others do not notice, and
// no block is lost or used twice (which every step checks).
func TestCancelAtEveryMoment(t *testing.T) {
	steps := 0
	for l := busy(t); l.step(); {
		steps++
	}
	for victim := ID(1); victim <= 6; victim++ {
		for at := range steps {
			l := busy(t)
			for range at {
				l.step()
			}
			over := len(l.got[victim]) > 0 && l.got[victim][len(l.got[victim])-1].Done
			before := len(l.got[victim])
			l.cancel(victim)
			after := l.got[victim]
			if over != (len(after) == before) || !over && (!after[before].Done || after[before].Finish != Cancelled) {
				t.Fatalf("request %d after %d steps, over %v: events %+v", victim, at, over, after[before:])
			}
			l.cancel(victim)
			if len(l.got[victim]) != len(after) {
				t.Fatalf("request %d after %d steps: second cancel gives %+v", victim, at, l.got[victim][len(after):])
			}
			l.drain()
			for id := range l.asked {
				l.compare(id)
			}
			if t.Failed() {
				t.Fatalf("request %d cancelled after %d steps", victim, at)
			}
		}
	}
}

// TestCancelKeepsBlocksInFlight: what a batch on its way writes into is not lent to others.
func TestCancelKeepsBlocksInFlight(t *testing.T) {
	c := testConfig()
	c.Rows, c.Blocks = 8, 2
	l := newLine(t, c)
	l.mustSubmit(generation(2, counting(0, 24)...)) // both blocks
	l.mustSubmit(generation(2, 9))
	l.steps("1:8", "1:8")
	l.cancel(1)
	if st := l.s.Stats(); st.Cache.Lent != 2 || st.Running != 0 || st.Waiting != 1 {
		t.Errorf("with two batches on their way: %+v, want 2 blocks lent, 1 waiting", st)
	}
	l.steps(none, "back", none)
	if st := l.s.Stats(); st.Cache.Lent != 2 || st.Waiting != 1 {
		t.Errorf("with one batch on its way: %+v, want 2 blocks lent, 1 waiting", st)
	}
	l.steps("back", "2:1")
	l.drain()
	l.compare(2)
}

func TestFail(t *testing.T) {
	c := testConfig()
	c.Rows = 8
	l := newLine(t, c)
	l.mustSubmit(generation(2, counting(0, 20)...))
	l.mustSubmit(generation(2, counting(1, 3)...))
	l.mustSubmit(generation(2, counting(2, 8)...))
	l.steps("1:8", "1:8", "1:4 2:3 3:1", none)
	why := errors.New("expert 3 of layer 1: no more threads")
	l.fail(0, why)
	got := l.got[1]
	if len(got) != 1 || !got[0].Done || got[0].Finish != Failed || !errors.Is(got[0].Err, why) {
		t.Errorf("events %+v, want the end, failed with %q", got, why)
	}
	if st := l.s.Stats(); st.Running != 2 || st.Cache.Lent != 2+1+1 {
		t.Errorf("%+v, want the others running, and all blocks lent while chunks are on their way", st)
	}
	l.steps("3:7", "back", "back")
	if st := l.s.Stats(); st.Cache.Lent != 1+1 {
		t.Errorf("%+v, want the blocks of the others lent", st)
	}
	l.drain()
	l.compare(2)
	l.compare(3)
}

// TestDrawError: a row that cannot be drawn from ends its own request alone.
func TestDrawError(t *testing.T) {
	c := testConfig()
	l := newLine(t, c)
	l.mustSubmit(generation(4, 5, 6))
	l.mustSubmit(generation(4, 7))
	l.steps("1:2 2:1", "back", "1", "2")
	why := errors.New("logits hold NaN")
	l.compute()
	l.compute()
	l.out[0].Drawn[0] = stages.Drawn{Err: why}
	l.commit(0)
	end := l.got[1][len(l.got[1])-1]
	if !end.Done || end.Finish != Failed || !errors.Is(end.Err, why) || !strings.Contains(end.Err.Error(), "request 1: position 3: ") || end.Index != 1 {
		t.Errorf("last event %+v, want failed at position 3", end)
	}
	l.drain()
	l.compare(2)
}

// TestEOS: it ends a generation, is not part of it, and may be the last token allowed.
func TestEOS(t *testing.T) {
	c := testConfig()
	free := alone(c.Model, 1, generation(12, 11))
	for at := range free {
		l := newLine(t, c)
		r := generation(at+1, 11)
		r.EOS = free[at].Token
		want := at // unless the token comes earlier as well
		for i := range at {
			if free[i].Token == r.EOS {
				want = i
				break
			}
		}
		id := l.mustSubmit(r)
		l.drain()
		got := l.got[id]
		if end := got[len(got)-1]; len(got) != want+1 || end.Finish != EOS || end.Index != want {
			t.Errorf("EOS as token %d of %d: %d events, the last %+v, want %d and eos", at, r.MaxTokens, len(got), end, want+1)
		}
	}
}

func TestStrayBatch(t *testing.T) {
	c := testConfig()
	for name, call := range map[string]func(*Scheduler, *stages.Batch){
		"never sent":     func(s *Scheduler, b *stages.Batch) { s.Commit(b, nil) },
		"failed, unsent": func(s *Scheduler, b *stages.Batch) { s.Fail(b, errors.New("no"), nil) },
		"not drawn from": func(s *Scheduler, b *stages.Batch) { s.Next(b); s.Commit(b, nil) },
		"committed twice": func(s *Scheduler, b *stages.Batch) {
			s.Next(b)
			newFake(c.Blocks).run(b)
			s.Commit(b, nil)
			s.Commit(b, nil)
		},
		"too small": func(s *Scheduler, _ *stages.Batch) {
			little := c
			little.Rows = 2
			s.Next(newBatch(t, little))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newScheduler(t, c), newBatch(t, c)
			if _, err := s.Submit(generation(2, 5)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if p, ok := recover().(string); !ok || !strings.HasPrefix(p, "BUG: sched: batch ") {
					t.Errorf("panics with %q, want BUG: sched: batch …", p)
				}
			}()
			call(s, b)
		})
	}
}
