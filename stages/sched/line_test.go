package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/model"
	"troupe/stages"
)

// line is a scheduler with a fake pipeline behind it: batches run in the order in which they were made,
// and come back in any order. Every step checks what must hold.
type line struct {
	t     testing.TB
	s     *Scheduler
	c     Config
	fake  *fake
	home  []*stages.Batch
	out   []*stages.Batch // in flight, in order; the first ran have been computed
	ran   int
	asked map[ID]Request
	got   map[ID][]Event
	sent  map[ID]int // next given row to be sent
}

func newLine(t testing.TB, c Config) *line {
	l := &line{t: t, s: newScheduler(t, c), c: c, fake: newFake(c.Blocks), asked: map[ID]Request{}, got: map[ID][]Event{}, sent: map[ID]int{}}
	for range c.Batches {
		l.home = append(l.home, newBatch(t, c))
	}
	return l
}

// submit hands a request in; a full house is no failure.
func (l *line) submit(r Request) (ID, error) {
	id, err := l.s.Submit(r)
	if err == nil {
		r.Prompt, r.Made = slices.Clone(r.Prompt), slices.Clone(r.Made)
		l.asked[id] = r
	}
	l.check()
	return id, err
}

// next sends a batch, if there is one to send.
func (l *line) next() bool {
	if len(l.home) == 0 {
		return false
	}
	b := l.home[len(l.home)-1]
	if !l.s.Next(b) {
		return false
	}
	l.home = l.home[:len(l.home)-1]
	l.out = append(l.out, b)
	l.checkBatch(b)
	l.check()
	return true
}

// compute runs the oldest batch that has not been computed.
func (l *line) compute() bool {
	if l.ran == len(l.out) {
		return false
	}
	l.fake.run(l.out[l.ran])
	l.ran++
	return true
}

// commit brings back the i-th batch in flight, which has been computed.
func (l *line) commit(i int) {
	b := l.take(i)
	l.note(l.s.Commit(b, nil))
	l.home = append(l.home, b)
	l.check()
}

func (l *line) fail(i int, err error) {
	b := l.take(i)
	l.note(l.s.Fail(b, err, nil))
	l.home = append(l.home, b)
	l.check()
}

func (l *line) take(i int) *stages.Batch {
	b := l.out[i]
	l.out = slices.Delete(l.out, i, i+1)
	if i < l.ran {
		l.ran--
	}
	return b
}

func (l *line) cancel(id ID) {
	l.note(l.s.Cancel(id))
	l.check()
}

func (l *line) note(events []Event) {
	for _, e := range events {
		if got := l.got[e.ID]; len(got) > 0 && got[len(got)-1].Done {
			l.t.Fatalf("request %d: event %+v after the last one", e.ID, e)
		}
		l.got[e.ID] = append(l.got[e.ID], e)
	}
}

// round sends what can be sent and brings the oldest batch back.
func (l *line) round() bool {
	for l.next() {
	}
	if len(l.out) == 0 {
		return false
	}
	for l.ran == 0 {
		l.compute()
	}
	l.commit(0)
	return true
}

// drain runs everything to its end and checks that nothing is left over.
func (l *line) drain() {
	l.t.Helper()
	for l.round() {
	}
	if st := l.s.Stats(); st.Cache.Lent != 0 || st.Running+st.Waiting+st.InFlight != 0 {
		l.t.Fatalf("after the last batch: %+v", st)
	}
	for id := range l.asked {
		if got := l.got[id]; len(got) == 0 || !got[len(got)-1].Done {
			l.t.Fatalf("request %d: no end in %d events", id, len(got))
		}
	}
}

// checkBatch looks at a batch that was just sent.
func (l *line) checkBatch(b *stages.Batch) {
	l.t.Helper()
	rows := &b.Frame.Rows
	lim := l.c.Limits()
	if rows.N < 1 || rows.N > lim.Rows || len(b.Draws) > lim.Draws || len(rows.Tables) > lim.Sequences || len(rows.Draw) != len(b.Draws) {
		l.t.Fatalf("batch %d: %d rows, %d draws, %d sequences, limits %+v", b.ID, rows.N, len(b.Draws), len(rows.Tables), lim)
	}
	f := l.s.flightOf(b)
	decoding := map[ID]int{}
	for i := range l.s.flights {
		for _, p := range l.s.flights[i].parts {
			if p.rows == 0 {
				decoding[p.seq.id]++
			}
		}
	}
	at := 0
	for i, p := range f.parts {
		n := max(p.rows, 1)
		for r := at; r < at+n; r++ {
			want := l.sent[p.seq.id] + r - at
			prompt := p.rows > 0 && want < p.seq.rows
			switch {
			case p.rows == 0:
				want = len(p.seq.prompt) + p.seq.made - 1
			case !prompt: // of the tokens that it came with
				want += len(p.seq.prompt) - p.seq.rows
			}
			if int(rows.Seq[r]) != i || int(rows.Pos[r]) != want || rows.Prompt[r] != prompt {
				l.t.Fatalf("batch %d: row %d: sequence %d position %d prompt %v, want %d, %d, %v", b.ID, r, rows.Seq[r], rows.Pos[r], rows.Prompt[r], i, want, prompt)
			}
		}
		l.sent[p.seq.id] += p.rows
		at += n
		if decoding[p.seq.id] > 1 {
			l.t.Fatalf("batch %d: request %d: %d decode rows in flight", b.ID, p.seq.id, decoding[p.seq.id])
		}
	}
	if at != rows.N {
		l.t.Fatalf("batch %d: %d rows, the scheduler remembers %d", b.ID, rows.N, at)
	}
}

// check looks at limits and at who holds which block.
func (l *line) check() {
	l.t.Helper()
	st := l.s.Stats()
	if st.Running > l.c.Sequences || st.Waiting > l.c.Queue || st.InFlight != len(l.out) || l.s.decoding() > min(l.c.Stages, l.c.Batches) {
		l.t.Fatalf("%+v with %d batches out, %d with decode rows, limits %+v", st, len(l.out), l.s.decoding(), l.c)
	}
	if st.Waiting > 0 && l.s.canRun(l.s.waiting[0].layout) {
		l.t.Fatalf("request %d waits although it could run: %+v", l.s.waiting[0].id, st)
	}
	held := slices.Clone(l.s.running)
	for i := range l.s.flights {
		for _, p := range l.s.flights[i].parts {
			if !slices.Contains(held, p.seq) {
				held = append(held, p.seq)
			}
		}
	}
	holder, lent := map[int32]ID{}, 0
	for _, q := range held {
		for _, b := range q.table {
			if other, twice := holder[b]; twice {
				l.t.Fatalf("block %d belongs to requests %d and %d", b, other, q.id)
			}
			holder[b] = q.id
			lent++
		}
	}
	if lent != st.Cache.Lent {
		l.t.Fatalf("%d blocks lent, sequences that need them have %d", st.Cache.Lent, lent)
	}
}

// wanted is what a request gets alone.
func (l *line) wanted(r Request) []Event { return alone(l.c.Model, l.c.bucket(len(r.Prompt)), r) }

// half lets a request, sometimes, come with some of the tokens that it would get.
func (l *line) half(rng *rand.Rand, r Request) Request {
	if r.Mode != Generate || rng.IntN(2) > 0 {
		return r
	}
	all := l.wanted(r)
	for _, e := range all[:rng.IntN(len(all)+1)] {
		if r.Made = append(r.Made, e.Token); len(r.Made) == r.MaxTokens-1 {
			break
		}
	}
	if len(r.Made) == r.MaxTokens {
		r.Made = nil
	}
	return r
}

// compare checks the events of a request against those that it gets alone: all of them, or, when it was
// stopped, a part. Scores and logits may arrive in any order.
func (l *line) compare(id ID) {
	l.t.Helper()
	r, got := l.asked[id], slices.Clone(l.got[id])
	end := got[len(got)-1]
	got = got[:len(got)-1]
	want := l.wanted(r)
	if end.Index != len(got) {
		l.t.Errorf("request %d: the last event says %d events before, there are %d", id, end.Index, len(got))
	}
	finish := Length
	if r.Mode == Generate && len(r.Made)+len(want) < r.MaxTokens {
		finish = EOS
	}
	if r.Mode != Generate {
		slices.SortFunc(got, func(a, b Event) int { return a.Index - b.Index })
	}
	switch end.Finish {
	case Cancelled, Failed:
		if len(got) > len(want) {
			l.t.Errorf("request %d: %d events, want at most %d", id, len(got), len(want))
			return
		}
	case finish:
		if len(got) != len(want) {
			l.t.Errorf("request %d: %d events, want %d", id, len(got), len(want))
			return
		}
	default:
		l.t.Errorf("request %d: finish %q, want %q", id, end.Finish, finish)
	}
	at := 0
	for _, g := range got {
		for r.Mode != Generate && at < len(want) && want[at].Index < g.Index {
			at++ // came back in a batch that failed, or not at all
		}
		if at == len(want) || !sameEvent(g, want[at]) {
			l.t.Errorf("request %d: %+v\ngot event %+v, alone %+v", id, r, g, want[min(at, len(want)-1)])
			return
		}
		at++
	}
}

func sameEvent(a, b Event) bool {
	return a.Index == b.Index && a.Token == b.Token && a.LogProb == b.LogProb && slices.Equal(a.Logits, b.Logits)
}

// randomRequest is any request that a model of that configuration may get: many have pads in front or
// inside, some are too long.
func randomRequest(rng *rand.Rand, c model.Config) Request {
	r := generation(1+rng.IntN(20), counting(rng.IntN(100), 1+rng.IntN(30))...)
	for i := range r.Prompt {
		if rng.IntN(6) == 0 {
			r.Prompt[i] = int32(c.PadToken)
		}
	}
	if rng.IntN(3) > 0 && r.Prompt[0] == int32(c.PadToken) {
		r.Prompt[0] = 5
	}
	r.Params.Seed = rng.Uint64N(3)
	if rng.IntN(4) == 0 {
		r.MaxTokens, r.Mode = 0, Mode(1+rng.IntN(2))
	}
	if rng.IntN(2) == 0 {
		r.EOS = int32(rng.IntN(c.VocabSize))
	}
	return r
}
