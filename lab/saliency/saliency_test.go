package saliency

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/lab/observe"
	"troupe/router"
)

const emb = 7

// tokens draws what a layer of n experts says of count tokens, of which each chooses k. The probabilities fall with
// the number of the expert, so that the last ones are chosen rarely; useless has all but no output and probability.
func tokens(seed uint64, count, n, k, useless int) (list []observe.Token) {
	rng := rand.New(rand.NewPCG(seed, 9))
	for i := range count {
		t := observe.Token{Position: i, Probs: make([]float32, n), Chosen: k, Gate: make([]float32, n), Outputs: make([]float32, n*emb)}
		sum := 0.0
		logits := make([]float64, n)
		for e := range logits {
			logits[e] = rng.NormFloat64()*1.5 - float64(e)*0.2
			if e == useless {
				logits[e] = -12
			}
			sum += math.Exp(logits[e])
			t.Ranked = append(t.Ranked, int32(e))
		}
		for e, l := range logits {
			t.Probs[e] = float32(math.Exp(l) / sum)
		}
		slices.SortStableFunc(t.Ranked, func(a, b int32) int { return -int(math.Copysign(1, float64(t.Probs[a]-t.Probs[b]))) })
		for rank, e := range t.Ranked {
			if rank < k {
				t.Gate[rank] = t.Probs[e]
			}
			scale := 1 + float64(e)/float64(n)
			if int(e) == useless {
				scale = 1e-3
			}
			for d := range emb {
				t.Outputs[rank*emb+d] = float32(rng.NormFloat64() * scale)
			}
		}
		list = append(list, t)
	}
	return list
}

// naive computes ‖F − F_S‖ as it stands in words.
func naive(t *observe.Token, in func(e int32) bool, k int) float64 { return naiveBy(NAEE, t, in, k) }

func naiveBy(by Method, t *observe.Token, in func(e int32) bool, k int) float64 {
	mix := func(in func(e int32) bool) (y [emb]float64) {
		type pick struct {
			gate   float64
			output []float32
		}
		var picks []pick
		for rank, e := range t.Ranked {
			if in(e) && len(picks) < k {
				picks = append(picks, pick{float64(t.Probs[e]), t.Output(rank)})
			}
		}
		sum := 0.0
		for _, p := range picks {
			sum += p.gate
		}
		for _, p := range picks {
			for d := range y {
				y[d] += p.gate / sum * float64(p.output[d])
			}
		}
		return y
	}
	a, b, sum := mix(func(int32) bool { return true }), mix(in), 0.0
	if by == NAEEDirection {
		x, y := math.Sqrt(sumOfSquares(a[:])), math.Sqrt(sumOfSquares(b[:]))
		for d := range a {
			a[d], b[d] = a[d]/x, b[d]/y
		}
	}
	for d := range a {
		sum += (a[d] - b[d]) * (a[d] - b[d])
	}
	return math.Sqrt(sum)
}

// The search finds what brute force over all bit patterns finds, and the loss of every subset is the same.
func TestExactIsBruteForce(t *testing.T) {
	for _, c := range []struct {
		experts, keep, selected int
		by                      Method
	}{{5, 3, 2, NAEE}, {6, 1, 2, NAEE}, {6, 4, 3, NAEE}, {7, 7, 2, NAEE}, {4, 2, 4, NAEE}, {6, 3, 2, NAEEDirection}, {6, 6, 2, NAEEDirection}} {
		seen := tokens(uint64(c.experts), 40, c.experts, c.selected, -1)
		s, err := NewExact(router.Sizes{Layers: 2, Experts: c.experts, Selected: c.selected}, c.keep, c.by)
		if err != nil {
			t.Fatal(err)
		}
		for i := range seen {
			s.Take(1, &seen[i])
		}
		var best []int
		least, count := math.Inf(1), 0
		for bits := range 1 << c.experts {
			var kept []int
			for e := range c.experts {
				if bits>>e&1 == 1 {
					kept = append(kept, e)
				}
			}
			if len(kept) != c.keep {
				continue
			}
			sum := 0.0
			for i := range seen {
				sum += naiveBy(c.by, &seen[i], func(e int32) bool { return bits>>e&1 == 1 }, c.selected)
			}
			at := slices.IndexFunc(s.layers[1].subsets, func(in []bool) bool {
				return !slices.ContainsFunc(kept, func(e int) bool { return !in[e] })
			})
			if got := s.layers[1].loss[at]; math.Abs(got-sum) > 1e-9*(1+sum) {
				t.Errorf("%+v: subset %v: loss %v, want %v", c, kept, got, sum)
			}
			if count++; sum < least {
				best, least = kept, sum
			}
		}
		norm := 0.0
		for i := range seen {
			y := blend(&seen[i], c.selected)
			if c.by == NAEEDirection {
				norm++
			} else {
				norm += math.Sqrt(sumOfSquares(y[:]))
			}
		}
		if got := s.Best(1); !slices.Equal(got.Kept, best) || math.Abs(got.Loss-least/40) > 1e-9 || math.Abs(got.Norm-norm/40) > 1e-9 {
			t.Errorf("%+v: %+v, want %v at %v of %v", c, got, best, least/40, norm/40)
		}
		if count != len(s.layers[1].subsets) {
			t.Errorf("%+v: %d subsets, want %d", c, len(s.layers[1].subsets), count)
		}
	}
}

func sumOfSquares(v []float64) (sum float64) {
	for _, x := range v {
		sum += x * x
	}
	return sum
}

func TestSubsetsAreBounded(t *testing.T) {
	for _, c := range []struct {
		experts, keep int
		blame         string
	}{{64, 32, "naee-greedy"}, {300, 3, "naee-greedy"}, {8, 0, "want 1 to 8"}, {8, 9, "want 1 to 8"}} {
		if _, err := NewExact(router.Sizes{Layers: 1, Experts: c.experts, Selected: 2}, c.keep, NAEE); err == nil || !strings.Contains(err.Error(), c.blame) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if n := len(choices(16, 8)); n != 12870 || binomial(16, 8) != n || binomial(200, 2) != 19900 {
		t.Errorf("%d subsets of 8 of 16, want 12870", n)
	}
}

// Greedy search makes the same steps as one that computes each loss in full, and cannot beat the exact one.
func TestGreedy(t *testing.T) {
	sizes := router.Sizes{Layers: 1, Experts: 7, Selected: 2}
	seen := tokens(3, 50, 7, 2, -1)
	passes := 0
	pass := func(take observe.Take) error {
		passes++
		for i := range seen {
			take(0, &seen[i])
		}
		return nil
	}
	layers, err := Greedy(sizes, 4, pass)
	if err != nil || passes != 3 {
		t.Fatalf("%d passes, want 3: %v", passes, err)
	}
	want := []int{0, 1, 2, 3, 4, 5, 6}
	last := 0.0
	for len(want) > 4 {
		out, least := 0, math.Inf(1)
		for i := range want {
			sum := 0.0
			for j := range seen {
				sum += naive(&seen[j], func(e int32) bool { return int(e) != want[i] && slices.Contains(want, int(e)) }, 2)
			}
			if sum < least {
				out, least = i, sum
			}
		}
		want, last = slices.Delete(want, out, out+1), least/50
	}
	if !slices.Equal(layers[0].Kept, want) || math.Abs(layers[0].Loss-last) > 1e-9 {
		t.Errorf("%+v, want %v at %v", layers, want, last)
	}
	exact, err := NewExact(sizes, 4, NAEE)
	if err != nil {
		t.Fatal(err)
	}
	for i := range seen {
		exact.Take(0, &seen[i])
	}
	if best := exact.Best(0); best.Loss > layers[0].Loss {
		t.Errorf("exact loss %v is above greedy's %v", best.Loss, layers[0].Loss)
	}
	broken := errors.New("stop")
	if _, err := Greedy(sizes, 4, func(observe.Take) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v, want the error of the pass", err)
	}
}

func TestCountsAreTheirFormula(t *testing.T) {
	seen := tokens(6, 30, 5, 2, -1)
	c := NewCounts(router.Sizes{Layers: 1, Experts: 5, Selected: 2})
	for i := range seen {
		c.Take(0, &seen[i])
	}
	for k, got := range c.Loss(0) {
		sum, norm := 0.0, 0.0
		for i := range seen {
			usual := seen[i]
			y := blend(&usual, 2)
			norm += math.Sqrt(sumOfSquares(y[:]))
			diff := 0.0
			for d := range emb {
				a, b := blend(&usual, 2), blend(&usual, k+1)
				diff = math.Hypot(diff, a[d]-b[d])
			}
			sum += diff
		}
		if math.Abs(got-sum/norm) > 1e-9 || (k == 1) != (got == 0) {
			t.Errorf("%d experts: %v, want %v", k+1, got, sum/norm)
		}
	}
}

// blend is a token's output with its k likeliest experts.
func blend(t *observe.Token, k int) (y [emb]float64) {
	sum := 0.0
	for _, e := range t.Ranked[:k] {
		sum += float64(t.Probs[e])
	}
	for rank, e := range t.Ranked[:k] {
		for d := range y {
			y[d] += float64(t.Probs[e]) / sum * float64(t.Output(rank)[d])
		}
	}
	return y
}

func TestScoresAreTheirFormulas(t *testing.T) {
	const n, k = 6, 3
	seen := tokens(5, 60, n, k, 2)
	s := NewScorer(router.Sizes{Layers: 2, Experts: n, Selected: k})
	for i := range seen {
		s.Take(1, &seen[i])
	}
	if !reflect.DeepEqual(s.Layers[0], Layer{Experts: make([]Expert, n)}) || s.Layers[1].Tokens != 60 {
		t.Errorf("layers got %d and %d tokens, want 0 and 60", s.Layers[0].Tokens, s.Layers[1].Tokens)
	}
	for e := range n {
		count, mass, norms, weighted := 0, 0.0, 0.0, 0.0
		for i := range seen {
			tok := &seen[i]
			mass += float64(tok.Probs[e])
			rank := slices.Index(tok.Ranked, int32(e))
			if rank >= k {
				continue
			}
			norm, sum := 0.0, 0.0
			for _, v := range tok.Output(rank) {
				norm = math.Hypot(norm, float64(v))
			}
			for _, other := range tok.Ranked[:k] {
				sum += float64(tok.Probs[other])
			}
			count++
			norms += norm
			weighted += float64(tok.Probs[e]) / sum * norm
		}
		l := &s.Layers[1]
		for m, want := range map[Method]float64{REAP: weighted / float64(max(count, 1)), EAN: norms, Frequency: float64(count), Router: mass} {
			if got := l.Score(m, e); math.Abs(got-want) > 1e-9*(1+want) {
				t.Errorf("expert %d: %s %v, want %v", e, m, got, want)
			}
		}
	}
}

// Every method leaves out first the expert that is never chosen and says nothing, and the twin that only the absence
// of its original would bring in.
func TestMethodsFindPlantedExperts(t *testing.T) {
	const n, useless, twin, original = 6, 4, 1, 0
	seen := tokens(8, 80, n, 2, useless)
	for i := range seen {
		tok := &seen[i]
		plantTwin(tok, original, twin)
	}
	sizes := router.Sizes{Layers: 1, Experts: n, Selected: 2}
	scorer := NewScorer(sizes)
	exact, err := NewExact(sizes, n-2, NAEE)
	direction, other := NewExact(sizes, n-2, NAEEDirection)
	if err != nil {
		t.Fatal(err)
	}
	pass := func(take observe.Take) error {
		for i := range seen {
			take(0, &seen[i])
		}
		return nil
	}
	if err := errors.Join(other, pass(scorer.Take), pass(exact.Take), pass(direction.Take)); err != nil {
		t.Fatal(err)
	}
	greedy, err := Greedy(sizes, n-2, pass)
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 2, 3, 5}
	for _, m := range Methods() {
		var kept []int
		switch m {
		case NAEE:
			kept = exact.Best(0).Kept
		case NAEEDirection:
			kept = direction.Best(0).Kept
		case NAEEGreedy:
			kept = greedy[0].Kept
		default:
			kept = scorer.Layers[0].Keep(m, n-2)
		}
		if !slices.Equal(kept, want) {
			t.Errorf("%s: kept %v, want %v", m, kept, want)
		}
	}
}

// plantTwin gives an expert the output of another and half a per cent of its probability.
func plantTwin(t *observe.Token, original, twin int32) {
	from := slices.Clone(t.Output(slices.Index(t.Ranked, original)))
	copy(t.Output(slices.Index(t.Ranked, twin)), from)
	t.Probs[twin] = t.Probs[original] / 200
	old := slices.Clone(t.Ranked)
	outputs := slices.Clone(t.Outputs)
	slices.SortStableFunc(t.Ranked, func(a, b int32) int { return -int(math.Copysign(1, float64(t.Probs[a]-t.Probs[b]))) })
	for rank, e := range t.Ranked {
		was := slices.Index(old, e)
		copy(t.Output(rank), outputs[was*emb:(was+1)*emb])
		t.Gate[rank] = 0
		if rank < t.Chosen {
			t.Gate[rank] = t.Probs[e]
		}
	}
}

// Of equal experts those of lower number stay, whatever the method.
func TestTies(t *testing.T) {
	l := Layer{Experts: make([]Expert, 5)}
	if kept := l.Keep(REAP, 3); !slices.Equal(kept, []int{0, 1, 2}) {
		t.Errorf("kept %v, want 0, 1, 2", kept)
	}
	s, err := NewExact(router.Sizes{Layers: 1, Experts: 5, Selected: 2}, 3, NAEE)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Best(0); !slices.Equal(c.Kept, []int{0, 1, 2}) || c.Loss != 0 {
		t.Errorf("%+v, want 0, 1, 2 at 0", c)
	}
	layers, err := Greedy(router.Sizes{Layers: 1, Experts: 5, Selected: 2}, 3, func(observe.Take) error { return nil })
	if err != nil || !slices.Equal(layers[0].Kept, []int{0, 1, 2}) {
		t.Errorf("%+v, want 0, 1, 2: %v", layers, err)
	}
}

// The threshold is the quantile by nearest rank, in steps, and skips what is below it.
func TestRatiosAreQuantiles(t *testing.T) {
	const n, k, count = 6, 3, 101
	seen := tokens(11, count, n, k, -1)
	r, err := NewRatios(router.Sizes{Layers: 2, Experts: n, Selected: k})
	if err != nil {
		t.Fatal(err)
	}
	var all []float64
	for i := range seen {
		r.Take(1, &seen[i])
		all = append(all, float64(seen[i].Gate[k-1])/float64(seen[i].Gate[0]))
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.1, 0.25, 0.5, 0.9, 1} {
		want := math.Floor(all[max(int(math.Ceil(q*count))-1, 0)]*Steps) / Steps
		got, below := r.Quantile(1, q)
		skipped := 0
		for _, v := range all {
			if v < got {
				skipped++
			}
		}
		if math.Abs(got-want) > 1e-12 || math.Abs(below-float64(skipped)/count) > 1e-12 || below > q {
			t.Errorf("quantile %v: %v with %v below, want %v with %d", q, got, below, want, skipped)
		}
	}
	p := r.Policy(0.5)
	want, _ := r.Quantile(1, 0.5)
	if err := p.Fits(router.Sizes{Layers: 2, Experts: n, Selected: k}); err != nil {
		t.Error(err)
	}
	if rule := p.Rule(1); rule.How != router.Threshold || rule.Share != want || rule.Max != k {
		t.Errorf("rule %v, want threshold:%v+max:%d", rule, want, k)
	}
	if _, err := NewRatios(router.Sizes{Layers: 1, Experts: 4, Selected: 1}); err == nil || !strings.Contains(err.Error(), "skipped") {
		t.Errorf("one expert: %v", err)
	}
}
