package stages

import (
	"math/rand/v2"
	"testing"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
)

// recordPlan has what routing needs: probabilities of 5 experts, and the results of pairs.
var recordPlan = model.Plan{Slots: []model.SlotSpec{{Name: "probs", Width: 5, Per: model.PerRow}, {Name: "parts", Width: 3, Per: model.PerPair}}}

// observed takes a batch of 12 rows of three sequences through the routers of three layers.
func observed(t testing.TB, b *Batch, probs kernels.Slot, c *router.Counters, trace ...int) {
	t.Helper()
	b.Reset(1, 0)
	for seq := range 3 {
		b.AddSequence(nil, nil, router.Uniform(1+seq))
	}
	for _, seq := range trace {
		b.Trace(seq)
	}
	for i := range 12 {
		b.AddRow(i/4, Row{Token: int32(10 + i), Pos: int32(i % 4), Prompt: true, Pad: i == 11})
	}
	b.Seal()
	for layer := range 3 {
		rng := rand.New(rand.NewPCG(1, uint64(layer)))
		for i := range b.Frame.Bufs[probs] {
			b.Frame.Bufs[probs][i] = rng.Float32()
		}
		if _, err := b.Route(probs, layer); err != nil {
			t.Fatal(err)
		}
		b.Observe(probs, layer, c)
	}
}

// A batch records the rows of the sequences that are traced, but for those that stand for no token, and nothing else.
func TestRecord(t *testing.T) {
	plan := recordPlan
	b, err := NewBatch(plan, Limits{Rows: 12, Draws: 1, Sequences: 3, Experts: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	count := router.NewCounters(3, 5, 0, 3)
	observed(t, b, plan.Probs, count, 0, 2)
	if n := count.Layers[1].Rows; n != 11 {
		t.Errorf("%d rows counted, want 11", n)
	}
	for seq, want := range []int{4, 0, 3} {
		rows := b.AppendRouting(make([]router.RowRouting, 1), seq)[1:]
		if len(rows) != want {
			t.Fatalf("sequence %d: %d rows, want %d", seq, len(rows), want)
		}
		for i, r := range rows {
			if r.Position != i || r.Token != int32(10+4*seq+i) || r.Path.Layers() != 3 {
				t.Errorf("sequence %d: row %d: token %d at %d through %d layers", seq, i, r.Token, r.Position, r.Path.Layers())
			}
			// The last layer's routing is still in the batch.
			at := b.Routing.Start[4*seq+i]
			if experts, gates := r.Path.At(2); len(experts) != 1+seq || experts[0] != b.Routing.Expert[at] || gates[0] != b.Routing.Gate[at] {
				t.Errorf("sequence %d: row %d: experts %v, gates %v", seq, i, experts, gates)
			}
		}
	}
	b.Reset(2, 0)
	b.AddSequence(nil, nil, router.Uniform(1))
	b.AddRow(0, Row{Token: 1})
	if b.Observe(plan.Probs, 0, nil); len(b.AppendRouting(nil, 0)) != 0 {
		t.Error("a batch used again records what it was told to before")
	}
}

// Once a batch has its memory, neither counting nor recording takes more; without a trace there is none to take.
func TestObserveAllocatesNothing(t *testing.T) {
	plan := recordPlan
	b, err := NewBatch(plan, Limits{Rows: 12, Draws: 1, Sequences: 3, Experts: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	count := router.NewCounters(3, 5, 0, 3)
	observed(t, b, plan.Probs, count)
	if n := testing.AllocsPerRun(20, func() { b.Observe(plan.Probs, 2, count) }); n != 0 || cap(b.record.row)+cap(b.record.layers)+cap(b.record.traced) != 0 {
		t.Errorf("%v allocations without a trace, memory for %d rows", n, cap(b.record.row))
	}
	observed(t, b, plan.Probs, count, 1)
	if n := testing.AllocsPerRun(20, func() { b.Observe(plan.Probs, 2, count) }); n != 0 {
		t.Errorf("%v allocations with a trace", n)
	}
}
