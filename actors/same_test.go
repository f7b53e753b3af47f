package actors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages"
	"troupe/stages/sched"
)

// Placement, depth, chunking, company and threads leave the bits unchanged, and they are those of the
// plain loop. Each arithmetic and library gets its own sample of all layouts.
func TestSameBitsWhateverTheLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference} {
		storage := toy.Int8
		if arith == kernels.Exact {
			storage = toy.Float32
		}
		w := toy.Weights(toy.Config(), storage, 1)
		want := loopOutcomes(t, w, arith)
		for _, library := range libraries() {
			layouts := append(sampleLayouts(rng, share(16)), plain)
			for _, l := range layouts {
				t.Run(fmt.Sprintf("%v/%s/%v", arith, library, l), func(t *testing.T) {
					e := start(t, l.options(t, w, arith, library))
					compare(t, serve(t, e, asks(t)), want)
					if err := stop(e); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// share is how many of n to take.
func share(n int) int { return int(float64(n) * sampled) }

// libraries are those that promise the bits of ref.
func libraries() (names []string) {
	for _, v := range kernels.Variants() {
		if v.Score() > 0 && v.Name != "nothing" && v.Name != "hooked" {
			names = append(names, v.Name)
		}
	}
	return names
}

func sampleLayouts(rng *rand.Rand, n int) (all []layout) {
	pick := func(from ...int) int { return from[rng.IntN(len(from))] }
	for range n {
		l := layout{stages: pick(1, 2, 3), threads: pick(1, 2), spread: rng.IntN(2) == 0,
			batches: pick(1, 2, 4), rows: pick(3, 7, 64), sequences: pick(1, 3, 8)}
		if l.devices = pick(1, l.stages); l.spread {
			l.devices = pick(1, 2, 3)
		}
		all = append(all, l)
	}
	return all
}

// loopOutcomes is what the plain loop makes of the requests.
func loopOutcomes(t *testing.T, w stages.Weights, arith kernels.Arith) (all []outcome) {
	t.Helper()
	ref, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	l, err := solo.New(solo.Options{Config: toy.Config(), Weights: w, Arith: arith, Binding: ref, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, r := range asks(t) {
		o := outcome{finish: "length"}
		l.Policy = r.Policy
		if r.Mode == sched.Generate {
			err = l.Generate(r.Prompt, r.MaxTokens, r.Params, func(d stages.Drawn) {
				o.tokens, o.logProbs = append(o.tokens, d.Token), append(o.logProbs, d.LogProb)
			})
		} else {
			o.logits, err = l.Prefill(r.Prompt, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Mode == sched.Score {
			for i, target := range r.Prompt[1:] {
				o.logProbs = append(o.logProbs, logProb(o.logits[i], target))
			}
			o.logits = nil
		}
		all = append(all, o)
	}
	return all
}

// logProb is the log of the softmax, with the sum in ascending order.
func logProb(logits []float32, token int32) float32 {
	top, sum := slices.Max(logits), 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l - top))
	}
	return float32(float64(logits[token]-top) - math.Log(sum))
}

func compare(t *testing.T, got, want []outcome) {
	t.Helper()
	for i := range want {
		g, w := got[i], want[i]
		if g.finish != w.finish || g.err != nil {
			t.Errorf("request %d: finish %q, error %v, want %q", i, g.finish, g.err, w.finish)
		}
		if w.tokens != nil && !slices.Equal(g.tokens, w.tokens) {
			t.Errorf("request %d: tokens %v, want %v", i, g.tokens, w.tokens)
		}
		if w.logProbs != nil && !sameBits(g.logProbs, w.logProbs) {
			t.Errorf("request %d: log probabilities %v, want %v", i, g.logProbs, w.logProbs)
		}
		if len(g.logits) != len(w.logits) {
			t.Errorf("request %d: logits of %d positions, want %d", i, len(g.logits), len(w.logits))
			continue
		}
		for p := range w.logits {
			if !sameBits(g.logits[p], w.logits[p]) {
				t.Errorf("request %d: position %d: logits differ", i, p)
			}
		}
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
