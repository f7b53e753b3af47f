package stages_test

import (
	"slices"
	"testing"

	"troupe/internal/toy"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// What was kept comes back for the same positions of the same tables, in whichever batch they come.
func TestJournal(t *testing.T) {
	c := toy.Config()
	plan := model.NewPlan(c)
	j, err := stages.NewJournal(c, plan, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	lim := stages.Limits{Rows: 40, Draws: 1, Sequences: 2, Experts: 2}
	b, err := stages.NewBatch(plan, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	emb := c.Model.EmbSize
	state := func(seq, pos int) float32 { return float32(1000*seq + pos) }
	fill := func(b *stages.Batch, first int) {
		b.Reset(1, 0)
		for _, table := range [][]int32{{4, 1}, {0, 5}} {
			at := b.AddSequence(table, nil, router.Uniform(1))
			for pos := first; pos < 20; pos++ {
				b.AddRow(at, stages.Row{Pos: int32(pos)})
			}
		}
		b.Seal()
	}
	fill(b, 0)
	for r := range b.Frame.Rows.N {
		for i := range emb {
			b.Frame.Bufs[plan.Hidden][r*emb+i] = state(int(b.Frame.Rows.Seq[r]), int(b.Frame.Rows.Pos[r])) + float32(i)/256
		}
	}
	j.Keep(b)
	twin := b.Twin()
	fill(twin, 13)
	clear(twin.Frame.Bufs[plan.Hidden])
	j.Restore(twin)
	for r := range twin.Frame.Rows.N {
		want := state(int(twin.Frame.Rows.Seq[r]), int(twin.Frame.Rows.Pos[r]))
		got := twin.Frame.Bufs[plan.Hidden][r*emb : (r+1)*emb]
		if got[0] != want || got[emb-1] != want+float32(emb-1)/256 {
			t.Errorf("row %d: from %v to %v, want those of %v", r, got[0], got[emb-1], want)
		}
	}
	if full := slices.Max(twin.Frame.Bufs[plan.Hidden]); full >= 1020 {
		t.Errorf("%v: a position that was never kept", full)
	}
}
