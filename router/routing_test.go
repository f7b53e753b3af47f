package router

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestRouting(t *testing.T) {
	var r Routing
	r.Reset(4)
	rows := []struct {
		probs []float32
		k     int
	}{
		{[]float32{.1, .2, .3, .4}, 2},
		{[]float32{.7, .1, .1, .1}, 1},
		{[]float32{.1, .2, .3, .4}, 4},
	}
	for _, row := range rows {
		if err := r.Add(row.probs, &Rule{Count: row.k}, Place{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int32{0, 2, 3, 7}; !slices.Equal(r.Start, want) {
		t.Errorf("starts %v, want %v", r.Start, want)
	}
	if want := []int32{3, 2, 0, 3, 2, 1, 0}; !slices.Equal(r.Expert, want) {
		t.Errorf("experts %v, want %v", r.Expert, want)
	}
	if want := []float32{.4, .3, .7, .4, .3, .2, .1}; !slices.Equal(r.Gate, want) {
		t.Errorf("gates %v, want %v: they are not renormalised", r.Gate, want)
	}
	want := []Group{
		{0, []int32{1, 2}, []int32{2, 6}},
		{1, []int32{2}, []int32{5}},
		{2, []int32{0, 2}, []int32{1, 4}},
		{3, []int32{0, 2}, []int32{0, 3}},
	}
	if got := r.Groups(); !reflect.DeepEqual(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
}

func TestRoutingEmpty(t *testing.T) {
	var r Routing
	r.Reset(8)
	if got := r.Groups(); len(got) != 0 || r.Rows() != 0 {
		t.Errorf("%d groups of %d rows, want none", len(got), r.Rows())
	}
}

func TestRoutingErrorLeavesItAsItWas(t *testing.T) {
	var r Routing
	r.Reset(2)
	if err := r.Add([]float32{.5, .5}, &Rule{Count: 2}, Place{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		probs []float32
		k     int
		want  string
	}{
		{[]float32{.5, float32(math.NaN())}, 1, "router: row 1: expert 1"},
		{[]float32{.5, .5}, 3, "router: row 1: 3 experts"},
		{[]float32{1}, 1, "router: row 1: 1 probabilities, want 2"},
	}
	for _, tt := range tests {
		if err := r.Add(tt.probs, &Rule{Count: tt.k}, Place{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
	if r.Rows() != 1 || len(r.Expert) != 2 || len(r.Gate) != 2 {
		t.Errorf("%d rows, %d experts, %d gates after the errors, want 1, 2, 2", r.Rows(), len(r.Expert), len(r.Gate))
	}
}

// Whatever the batch: every pair is in exactly one group, the group of its expert, and the places of
// results are a permutation of the pairs. The same Routing serves all batches.
func TestRoutingProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var r Routing
	for range 300 {
		experts, rows := 1+rng.IntN(20), rng.IntN(40)
		r.Reset(experts)
		total := 0
		for range rows {
			k := 1 + rng.IntN(experts)
			total += k
			if err := r.Add(randomProbs(rng, experts), &Rule{Count: k}, Place{}); err != nil {
				t.Fatal(err)
			}
		}
		if r.Rows() != rows || len(r.Expert) != total || len(r.Gate) != total {
			t.Fatalf("%d rows, %d experts, %d gates, want %d, %d, %d", r.Rows(), len(r.Expert), len(r.Gate), rows, total, total)
		}
		seen := make([]bool, total)
		last := int32(-1)
		for _, g := range r.Groups() {
			if g.Expert <= last || len(g.Row) == 0 || len(g.Row) != len(g.Dst) {
				t.Fatalf("group of expert %d after %d with %d rows and %d places", g.Expert, last, len(g.Row), len(g.Dst))
			}
			last = g.Expert
			if !slices.IsSorted(g.Row) {
				t.Fatalf("expert %d: rows %v are not in order", g.Expert, g.Row)
			}
			for i, p := range g.Dst {
				if seen[p] {
					t.Fatalf("pair %d twice", p)
				}
				seen[p] = true
				if row := g.Row[i]; p < r.Start[row] || p >= r.Start[row+1] || r.Expert[p] != g.Expert {
					t.Fatalf("pair %d given to row %d and expert %d", p, row, g.Expert)
				}
			}
		}
		if slices.Contains(seen, false) {
			t.Fatal("a pair is in no group")
		}
	}
}

// A row's choice does not depend on its neighbours (N3).
func TestRoutingNeighbours(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	probs := randomProbs(rng, 8)
	var alone, together Routing
	alone.Reset(8)
	if err := alone.Add(probs, &Rule{Count: 3}, Place{}); err != nil {
		t.Fatal(err)
	}
	together.Reset(8)
	for i := range 5 {
		p, k := randomProbs(rng, 8), 1+i
		if i == 2 {
			p, k = probs, 3
		}
		if err := together.Add(p, &Rule{Count: k}, Place{}); err != nil {
			t.Fatal(err)
		}
	}
	from, to := together.Start[2], together.Start[3]
	if !slices.Equal(alone.Expert, together.Expert[from:to]) || !slices.Equal(alone.Gate, together.Gate[from:to]) {
		t.Error("a row in company is routed otherwise than alone")
	}
}

func TestRoutingAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const rows, experts, k = 64, 8, 3
	probs := make([][]float32, rows)
	for i := range probs {
		probs[i] = randomProbs(rng, experts)
	}
	var r Routing
	rule := &Rule{Count: k}
	batch := func() {
		r.Reset(experts)
		for _, p := range probs {
			if err := r.Add(p, rule, Place{}); err != nil {
				t.Fatal(err)
			}
		}
		r.Groups()
	}
	batch()
	if n := testing.AllocsPerRun(100, batch); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
}

func BenchmarkRouting(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 10))
	const rows, experts, k = 256, 8, 2
	probs := make([][]float32, rows)
	for i := range probs {
		probs[i] = randomProbs(rng, experts)
	}
	var r Routing
	rule := &Rule{Count: k}
	for b.Loop() {
		r.Reset(experts)
		for _, p := range probs {
			if err := r.Add(p, rule, Place{}); err != nil {
				b.Fatal(err)
			}
		}
		r.Groups()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// randomProbs is a row of probabilities, some of them equal.
func randomProbs(rng *rand.Rand, experts int) []float32 {
	probs, sum := make([]float32, experts), float32(0)
	for e := range probs {
		probs[e] = float32(1 + rng.IntN(2*experts))
		sum += probs[e]
	}
	for e := range probs {
		probs[e] /= sum
	}
	return probs
}
