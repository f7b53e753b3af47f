package saliency

import (
	"fmt"
	"slices"
	"testing"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/lab/observe"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// plantedToy is the toy with an expert that says nothing and one with the matrices of another, which only the absence
// of that one would bring in: 3, and 4 as the twin of 1, in every layer. For that all hidden states have a large first
// coordinate, through which columns of the router have a bias.
func plantedToy() stages.Weights {
	c := toy.Config()
	w := toy.Weights(c, toy.Float32, 21)
	emb := c.Model.EmbSize
	for at := 0; at < len(w[model.Embedding][0].F); at += emb {
		w[model.Embedding][0].F[at] = 5
	}
	for l := range c.Model.NumLayers {
		name := func(s string) string { return fmt.Sprintf("transformer/decoder_layer_%d/%s", l, s) }
		r := w[name("router/w")][0]
		for i := range emb {
			r.F[i*r.Out+4] = r.F[i*r.Out+1]
		}
		r.F[3] -= 9
		r.F[4] -= 3
		for _, matrix := range []string{"moe/linear/w", "moe/linear_v/w", "moe/linear_1/w"} {
			list := w[name(matrix)]
			list[4] = list[1]
			if matrix == "moe/linear_1/w" {
				none := *list[3]
				none.F = make([]float32, len(none.F))
				list[3] = &none
			}
		}
	}
	return w
}

// see runs a text through a plain loop and hands on what every expert makes of every token.
func see(t *testing.T, w stages.Weights, take observe.Take) {
	t.Helper()
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	c := toy.Config()
	plan := model.NewPlan(c)
	var ranked []int32
	n := c.Model.NumExperts
	tap := func(layer int, op kernels.Op, _ []kernels.Slot, f *kernels.Frame) {
		if op != kernels.Combine {
			return
		}
		width := n * c.Model.EmbSize
		for i := range f.Rows.N {
			take(layer, &observe.Token{Position: i, Probs: f.Bufs[plan.Probs][i*n : (i+1)*n], Chosen: 2, Ranked: ranked[i*n : (i+1)*n],
				Gate: f.Pairs.Gate[i*n : (i+1)*n], Outputs: f.Bufs[plan.Parts][i*width : (i+1)*width]})
		}
	}
	l, err := solo.New(solo.Options{Config: c, Weights: w, Arith: kernels.Exact, Binding: binding, Threads: 1, Tap: tap})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Policy = router.Uniform(2).Observed()
	l.Routed = func(_ int, b *stages.Batch) { ranked = slices.Clone(b.Routing.Expert) }
	var ids []int32
	for i := range 90 {
		ids = append(ids, int32(3+(i*i*7+i*13)%60))
	}
	if _, err := l.Loss(ids); err != nil {
		t.Fatal(err)
	}
}

// Every method keeps, in every layer of a model, the experts that are neither useless nor a twin.
func TestMethodsFindWhatIsPlantedInAModel(t *testing.T) {
	w, sizes := plantedToy(), router.Sizes{Layers: 3, Experts: 5, Selected: 2}
	scorer := NewScorer(sizes)
	exact, err := NewExact(sizes, 3, NAEE)
	direction, other := NewExact(sizes, 3, NAEEDirection)
	if err != nil || other != nil {
		t.Fatal(err, other)
	}
	see(t, w, func(layer int, tok *observe.Token) {
		scorer.Take(layer, tok)
		exact.Take(layer, tok)
		direction.Take(layer, tok)
	})
	greedy, err := Greedy(sizes, 3, func(take observe.Take) error { see(t, w, take); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for l := range sizes.Layers {
		for _, m := range Methods() {
			var kept []int
			switch m {
			case NAEE:
				kept = exact.Best(l).Kept
			case NAEEDirection:
				kept = direction.Best(l).Kept
			case NAEEGreedy:
				kept = greedy[l].Kept
			default:
				kept = scorer.Layers[l].Keep(m, 3)
			}
			if !slices.Equal(kept, []int{0, 1, 2}) {
				t.Errorf("layer %d: %s keeps %v, want 0, 1, 2: %+v", l, m, kept, scorer.Layers[l].Experts)
			}
		}
	}
}
