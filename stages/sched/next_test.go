package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"troupe/stages"
)

// shape is a batch in short: sequences with their rows, "3:5" for five prompt rows of request 3, "3" for
// a decode row.
func (l *line) shape(b *stages.Batch) string {
	var s []string
	for _, p := range l.s.flightOf(b).parts {
		if p.rows > 0 {
			s = append(s, fmt.Sprintf("%d:%d", p.seq.id, p.rows))
		} else {
			s = append(s, fmt.Sprint(p.seq.id))
		}
	}
	return strings.Join(s, " ")
}

// send sends one batch and returns its shape, "" when there is none to send.
func (l *line) send() string {
	if !l.next() {
		return ""
	}
	return l.shape(l.out[len(l.out)-1])
}

// back computes everything in flight and brings the oldest batch back.
func (l *line) back() {
	for l.compute() {
	}
	l.commit(0)
}

// steps runs a script: "send", what the batch looks like; "back".
func (l *line) steps(script ...string) {
	l.t.Helper()
	for i, want := range script {
		if want == "back" {
			l.back()
		} else if got := l.send(); got != strings.TrimSpace(want) {
			l.t.Fatalf("step %d: batch %q, want %q", i, got, want)
		}
	}
}

func (l *line) mustSubmit(r Request) ID {
	l.t.Helper()
	id, err := l.submit(r)
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

const none = " "

func TestOneStream(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 1, 1, 4
	l := newLine(t, c)
	l.mustSubmit(generation(3, counting(0, 10)...))
	l.steps("1:4", none, "back", "1:4", "back", "1:2", "back", "1", "back", "1", "back", none)
	l.drain()
	l.compare(1)
}

// TestChunksInFlight: chunks of one prompt fill the pipeline.
func TestChunksInFlight(t *testing.T) {
	c := testConfig()
	c.Rows = 4
	l := newLine(t, c)
	l.mustSubmit(generation(2, counting(0, 10)...))
	l.steps("1:4", "1:4", "1:2", none, "back", none, "back", none, "back", "1", "back", none)
	l.drain()
	l.compare(1)
}

// TestDecodeRowsAreDealt: as many batches as stages share the decode rows, and the credit beyond them is
// for prompts.
func TestDecodeRowsAreDealt(t *testing.T) {
	c := testConfig() // 2 stages, 3 batches
	l := newLine(t, c)
	for range 5 {
		l.mustSubmit(generation(8, 3))
	}
	l.steps("1:1 2:1 3:1 4:1 5:1", none, "back", "1 2 3", "4 5", none)
	l.mustSubmit(generation(8, 9, 9))
	l.steps("6:2", none, "back", "1 2 3", none, "back", "4 5", none)
	// The newcomer waits for a group that comes back, instead of going alone.
	l.steps("back", none, "back", "6 1 2", none, "back", "3 4 5", none)
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
}

// TestPromptsBesideDecodeRows: decode rows come first, prompts fill up.
func TestPromptsBesideDecodeRows(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 1, 1, 6
	l := newLine(t, c)
	l.mustSubmit(generation(9, 3, 4))
	l.steps("1:2", "back")
	l.mustSubmit(generation(2, counting(0, 7)...))
	l.mustSubmit(generation(2, counting(7, 7)...))
	l.steps("1 2:5", "back", "1 2:2 3:3", "back", "1 2 3:4", "back", "1 3", "back", "1", "back")
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
}

// TestPromptsDoNotStarve: where decode rows take every row, or every draw, prompts have every other batch.
func TestPromptsDoNotStarve(t *testing.T) {
	for _, lim := range []struct {
		rows, draws int
		script      []string
	}{
		{1, 1, []string{"1", "back", "2:1", "back", "1", "back", "2:1", "back"}},
		{4, 1, []string{"1 2:1", "back", "1", "back", "2:1", "back", "1", "back", "2", "back"}},
	} {
		c := testConfig()
		c.Stages, c.Batches, c.Rows, c.Draws = 1, 1, lim.rows, lim.draws
		l := newLine(t, c)
		l.mustSubmit(generation(20, 3))
		l.steps("1:1", "back")
		l.mustSubmit(generation(9, 4, 5))
		l.steps(lim.script...)
		l.drain()
		l.compare(1)
		l.compare(2)
	}
}

// TestLeadingPadsInOneBatch: such a prompt goes whole, with pads up to the bucket, and ahead of decode
// rows when it finds no room beside them.
func TestLeadingPadsInOneBatch(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows = 1, 1, 8
	l := newLine(t, c)
	l.mustSubmit(generation(5, 3))
	l.steps("1:1", "back")
	l.mustSubmit(generation(2, 0, 0, 7, 0, 8))
	l.mustSubmit(generation(1, 4))
	l.steps("1", "back", "2:8")
	rows := &l.out[0].Frame.Rows
	for _, col := range []struct {
		name      string
		got, want []int32
	}{
		{"Token", rows.Token, []int32{0, 0, 7, 0, 8, 0, 0, 0}},
		{"Pos", rows.Pos, []int32{0, 1, 2, 3, 4, 5, 6, 7}},
		{"First", rows.First, []int32{2, 2, 2, 2, 2, 2, 2, 2}},
		{"Keyless", rows.Keyless, []int32{8, 8, 0, 0, 0, 0, 0, 0}},
		{"Skip", rows.Skip[0], []int32{3, 5, 6, 7}},
		{"Draw", rows.Draw, []int32{4}},
	} {
		if !slices.Equal(col.got, col.want) {
			t.Errorf("%s = %v, want %v", col.name, col.got, col.want)
		}
	}
	l.steps("back", "1 2 3:1")
	if rows := &l.out[0].Frame.Rows; rows.Pos[1] != 5 || rows.First[1] != 2 || rows.Prompt[1] || rows.Keyless[1] != 0 {
		t.Errorf("decode row after leading pads: %+v, want position 5, first key 2", rows)
	}
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
}

// TestNothingButPads: rows behind such a prompt have no key either, or the average over the bucket would
// be undefined.
func TestNothingButPads(t *testing.T) {
	l := newLine(t, testConfig())
	id := l.mustSubmit(generation(3, 0, 0))
	l.steps("1:8")
	rows := &l.out[0].Frame.Rows
	if want := slices.Repeat([]int32{8}, 8); !slices.Equal(rows.Keyless, want) || !slices.Equal(rows.Draw, []int32{1}) {
		t.Errorf("Keyless %v, Draw %v, want %v, [1]", rows.Keyless, rows.Draw, want)
	}
	l.drain()
	l.compare(id)
}

// TestDrawsBoundChunks: scores and logits want a draw at every row.
func TestDrawsBoundChunks(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches, c.Rows, c.Draws = 1, 1, 9, 3
	l := newLine(t, c)
	score, logits := generation(0, counting(0, 6)...), generation(0, counting(3, 4)...)
	score.Mode, logits.Mode = Score, Logits
	l.mustSubmit(score)
	l.mustSubmit(logits)
	l.mustSubmit(generation(1, counting(9, 5)...))
	l.steps("1:3", "back", "1:2 2:1 3:4", "back", "2:3", "back", "3:1", "back", none)
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
	if got := l.got[1][0]; got.Index != 1 || got.Token != score.Prompt[1] {
		t.Errorf("first score %+v, want of token 1", got)
	}
	if got := l.got[2][0]; got.Index != 0 || got.Token != logits.Prompt[0] || len(got.Logits) == 0 {
		t.Errorf("first logits %+v, want of position 0", got)
	}
}

func TestScoreOfOneToken(t *testing.T) {
	l := newLine(t, testConfig())
	r := generation(0, 5)
	r.Mode = Score
	id := l.mustSubmit(r)
	l.drain()
	if got := l.got[id]; len(got) != 1 || !got[0].Done || got[0].Finish != Length || got[0].Index != 0 {
		t.Errorf("events %+v, want the end alone", got)
	}
}

// TestArrivalOrder: whoever waits first runs first, even when somebody behind would fit.
func TestArrivalOrder(t *testing.T) {
	c := testConfig()
	c.Blocks = 4
	l := newLine(t, c)
	l.mustSubmit(generation(17, counting(0, 16)...)) // 2 blocks
	l.mustSubmit(generation(33, counting(0, 16)...)) // 3 blocks: waits
	l.mustSubmit(generation(1, 5))                   // 1 block, but later
	if st := l.s.Stats(); st.Running != 1 || st.Waiting != 2 {
		t.Errorf("%+v, want 1 running, 2 waiting", st)
	}
	l.cancel(2)
	if st := l.s.Stats(); st.Running != 2 || st.Waiting != 0 {
		t.Errorf("after cancelling who holds up the line: %+v, want 2 running", st)
	}
	l.drain()
	l.compare(1)
	l.compare(3)
}

// TestGenerationIsTheCallers: Next leaves the batch's generation alone and numbers batches from 1.
func TestGenerationIsTheCallers(t *testing.T) {
	c := testConfig()
	s, b := newScheduler(t, c), newBatch(t, c)
	if s.Next(b) {
		t.Fatal("Next without requests = true")
	}
	if _, err := s.Submit(generation(2, 5)); err != nil {
		t.Fatal(err)
	}
	b.Generation = 7
	if !s.Next(b) || b.ID != 1 || b.Generation != 7 {
		t.Errorf("batch %d, generation %d, want 1, 7", b.ID, b.Generation)
	}
}

func TestStats(t *testing.T) {
	c := testConfig()
	c.Stages, c.Batches = 1, 1
	l := newLine(t, c)
	l.mustSubmit(generation(3, counting(0, 20)...))
	l.steps("1:20", "back", "1")
	got := l.s.Stats()
	if got.Running != 1 || got.InFlight != 1 || got.Batches != 2 || got.PromptRows != 20 || got.DecodeRows != 1 || got.Tokens != 1 || got.Cache.Lent != 2 || got.Cache.Blocks != c.Blocks {
		t.Errorf("%+v", got)
	}
	l.drain()
	if got := l.s.Stats(); got.Tokens != 3 || got.DecodeRows != 2 || got.Cache.Lent != 0 || got.Cache.Most != 2 {
		t.Errorf("at the end %+v", got)
	}
}
