package stages

import (
	"math"
	"slices"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
)

// routed makes a batch of rows with these probabilities, each its own sequence with its own policy.
func routed(t *testing.T, lim Limits, probs [][]float32, policies []router.Policy) *Batch {
	t.Helper()
	plan := model.Plan{Slots: []model.SlotSpec{
		{Name: "probs", Width: len(probs[0]), Per: model.PerRow}, {Name: "parts", Width: 3, Per: model.PerPair},
	}}
	b, err := NewBatch(plan, lim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	b.Reset(7, 0)
	for i := range probs {
		b.AddRow(b.AddSequence(nil, nil, policies[i]), Row{})
	}
	b.Seal()
	for i, p := range probs {
		copy(b.Frame.Bufs[0][i*len(p):], p)
	}
	return b
}

func TestRoute(t *testing.T) {
	layers, err := router.Parse("0:1,1:3", router.Sizes{Layers: 2, Experts: 3, Selected: 2})
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	b := routed(t, Limits{Rows: 4, Draws: 1, Sequences: 4, Experts: 3}, [][]float32{{.1, .6, .3}, {.5, .2, .3}, {nan, 1, 1}},
		[]router.Policy{router.Uniform(2), layers, router.Uniform(2)})
	groups, err := b.Route(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int32{0, 2, 5, 7}; !slices.Equal(b.Frame.Pairs.Start, want) {
		t.Errorf("starts %v, want %v", b.Frame.Pairs.Start, want)
	}
	if want := []int32{1, 2, 0, 2, 1, 0, 1}; !slices.Equal(b.Routing.Expert, want) {
		t.Errorf("experts %v, want %v: best first, a row without numbers at the first two", b.Routing.Expert, want)
	}
	if want := []float32{.6, .3, .5, .3, .2}; !slices.Equal(b.Frame.Pairs.Gate[:5], want) {
		t.Errorf("gates %v, want %v", b.Frame.Pairs.Gate[:5], want)
	}
	for _, g := range b.Frame.Pairs.Gate[5:] {
		if g == g {
			t.Errorf("gate %v of a row that is not finite, want NaN", g)
		}
	}
	if got := len(b.Frame.Bufs[1]); got != 7*3 {
		t.Errorf("parts of %d values, want 7 pairs of 3", got)
	}
	var row, dst []int32
	for _, g := range groups {
		w := WorkOf(g)
		row, dst = append(row, w.Row...), append(dst, w.Dst...)
	}
	if want := []int32{1, 2, 0, 1, 2, 0, 1}; !slices.Equal(row, want) {
		t.Errorf("rows by expert %v, want %v", row, want)
	}
	if want := []int32{2, 5, 0, 4, 6, 1, 3}; !slices.Equal(dst, want) {
		t.Errorf("places by expert %v, want %v", dst, want)
	}
}

// A row that is not finite takes no more pairs than its rule allows, so that a full batch has room for it.
func TestRouteUndefinedStaysWithinTheRule(t *testing.T) {
	nan := float32(math.NaN())
	p := router.Of(router.Rule{How: router.TopP, Share: 0.5, Count: 3, Max: 1})
	if err := p.Fits(router.Sizes{Layers: 2, Experts: 3, Selected: 2}); err != nil {
		t.Fatal(err)
	}
	b := routed(t, Limits{Rows: 2, Draws: 1, Sequences: 2, Experts: 1}, [][]float32{{nan, 1, 1}, {1, nan, 1}}, []router.Policy{p, p})
	if _, err := b.Route(0, 1); err != nil || len(b.Routing.Expert) != 2 {
		t.Errorf("%d pairs, %v, want one for each of 2 rows", len(b.Routing.Expert), err)
	}
}

func TestRouteRefuses(t *testing.T) {
	for _, tt := range []struct {
		k, limit int
		want     string
	}{{4, 3, "row 0: 4 experts, want 1 to 3"}, {3, 2, "row 0: 3 experts, want 1 to 2"}, {0, 3, "row 0: 0 experts"}} {
		b := routed(t, Limits{Rows: 1, Draws: 1, Sequences: 1, Experts: tt.limit}, [][]float32{{.1, .6, .3}}, []router.Policy{router.Uniform(tt.k)})
		_, err := b.Route(0, 5)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "router of layer 5: batch 7") {
			t.Errorf("%d experts within %d: error %v, want one with %q", tt.k, tt.limit, err, tt.want)
		}
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	b := routed(t, Limits{Rows: 2, Draws: 1, Sequences: 2, Experts: 3}, [][]float32{{.1, .6, .3}, {.5, .2, .3}},
		[]router.Policy{router.Uniform(2), router.Uniform(3)})
	var work kernels.Work
	n := testing.AllocsPerRun(100, func() {
		groups, err := b.Route(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		work = WorkOf(groups[0])
	})
	if n != 0 || len(work.Row) == 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
}
