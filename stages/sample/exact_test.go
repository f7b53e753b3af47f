package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// massOf is the mass of one scaled logit.
func massOf(rel float64) uint64 {
	if rel < massLow {
		return 0
	}
	return uint64(int64(float64(expNeg(rel)*massUnit) + 0.5))
}

// slowDraw is the exact sampler in the plainest way: sort, take prefixes, give noise to every token left.
// It shares with the fast one only the formulas of scaled logits, exp and noise.
func slowDraw(logits []float32, p Params, position int) Draw {
	var ids []int32
	for i, l := range logits {
		if !math.IsInf(float64(l), -1) {
			ids = append(ids, int32(i))
		}
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return descending(logits[a], logits[b]) })
	rel := func(id int32) float64 { return scaled(logits[id], logits[ids[0]], p.Temperature) }
	sum := func(ids []int32) (total uint64) {
		for _, id := range ids {
			total += massOf(rel(id))
		}
		return total
	}
	kept := ids
	if p.TopK > 0 {
		kept = kept[:min(p.TopK, len(kept))]
	}
	if p.TopP < 1 {
		want := math.Ceil(p.TopP * float64(sum(kept)))
		n := 1
		for float64(sum(kept[:n])) < want && n < len(kept) {
			n++
		}
		kept = kept[:n]
	}
	if p.MinP > 0 {
		n := 1
		for n < len(kept) && rel(kept[n]) >= ln(p.MinP) {
			n++
		}
		kept = kept[:n]
	}
	key := Key{uint32(p.Seed >> 32), uint32(p.Seed)}
	key[0], key[1] = key.block(0, uint32(position))
	best, token := math.Inf(-1), int32(-1)
	for _, id := range kept {
		if s := rel(id) + gumbel(noiseWord(key, id)); s > best || s == best && id < token {
			best, token = s, id
		}
	}
	return Draw{Token: token, LogProb: float32(rel(token) - ln(float64(sum(kept))/massUnit)), Kept: len(kept)}
}

// kinds of logits, of any length.
var kinds = map[string]func(rng *rand.Rand) float32{
	"smooth":  func(rng *rand.Rand) float32 { return float32(3 * rng.NormFloat64()) },
	"ties":    func(rng *rand.Rand) float32 { return float32(rng.IntN(5)) },
	"steep":   func(rng *rand.Rand) float32 { return float32(40 * rng.NormFloat64()) },
	"flat":    func(*rand.Rand) float32 { return -7.5 },
	"zeros":   func(rng *rand.Rand) float32 { return float32(math.Copysign(0, float64(rng.IntN(2))-.5)) },
	"masked":  func(rng *rand.Rand) float32 { return float32(math.Log(float64(rng.IntN(3)))) },
	"extreme": func(rng *rand.Rand) float32 { return math.MaxFloat32 * float32(rng.IntN(3)-1) },
}

func randomLogits(rng *rand.Rand, kind string, n int) []float32 {
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = kinds[kind](rng)
	}
	logits[rng.IntN(n)] = 1 // one that is allowed
	return logits
}

func randomParams(rng *rand.Rand) Params {
	p := Defaults()
	p.Seed = rng.Uint64()
	p.Temperature = []float64{1, .7, 2.5, .01, 1e-300, 1e300}[rng.IntN(6)]
	p.TopK = []int{0, 0, 1, 2, 7, 50, 100000}[rng.IntN(7)]
	p.TopP = []float64{1, 1, .9, .5, 1e-9, 1 - 1e-16, .999}[rng.IntN(7)]
	p.MinP = []float64{0, 0, .05, 1, 1e-9, 1e-300}[rng.IntN(6)]
	return p
}

// However the fast path gets there, it gives what the plain one gives, bit for bit.
func TestExactAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for kind := range kinds {
		for _, n := range []int{1, 2, 3, 17, 300} {
			d := NewDrawer(n)
			for range 150 {
				logits, p, position := randomLogits(rng, kind, n), randomParams(rng), int(rng.Int32())
				got, err := d.Draw(logits, p, position, 0)
				if err != nil {
					t.Fatal(err)
				}
				if want := slowDraw(logits, p, position); got != want {
					t.Fatalf("%s, %d tokens, %+v, position %d: %+v, want %+v", kind, n, p, position, got, want)
				}
			}
		}
	}
}

// Noise comes by runs of neighbouring tokens: wherever tokens are missing, even and odd, each has its own.
func TestExactWithGaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 3*noiseRun + 7
	d := NewDrawer(n)
	for _, gaps := range [][]int{nil, {0}, {1}, {0, 1, 2}, {noiseRun}, {noiseRun - 1, 2*noiseRun + 1}, {5, 6, n - 1}} {
		for position := range 100 {
			logits := randomLogits(rng, "smooth", n)
			for _, id := range gaps {
				logits[id] = float32(math.Inf(-1))
			}
			p := Params{Temperature: 8, TopP: 1, Seed: 5}
			got, err := d.Draw(logits, p, position, 0)
			if want := slowDraw(logits, p, position); err != nil || got != want {
				t.Fatalf("without tokens %v, position %d: %+v, %v, want %+v", gaps, position, got, err, want)
			}
		}
	}
}

// Tokens that a separate program (in Python) draws by the documented formula.
func TestExactKnownAnswers(t *testing.T) {
	logits := []float32{0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2}
	for _, tt := range []struct {
		temperature float64
		seed        uint64
		position    int
		want        []int32
	}{
		{1, 42, 0, []int32{8, 8, 5, 6, 3, 3, 3, 7, 7, 3, 7, 8, 6, 5, 8, 6}},
		{2, 1<<63 + 12345, 5, []int32{4, 0, 1, 1, 7, 8, 8, 1, 3, 3, 8, 7, 5, 6, 7, 3}},
		{.5, 7, 1<<31 - 20, []int32{6, 7, 5, 4, 6, 6, 5, 8, 6, 2, 6, 4, 7, 6, 5, 8}},
	} {
		d := NewDrawer(len(logits))
		for i, want := range tt.want {
			got, err := d.Draw(logits, Params{Temperature: tt.temperature, TopP: 1, Seed: tt.seed}, tt.position+i, 0)
			if err != nil || got.Token != want {
				t.Errorf("temperature %v, seed %d, position %d: token %d, %v, want %d", tt.temperature, tt.seed, tt.position+i, got.Token, err, want)
			}
		}
	}
}

// Filters apply in the order top-k, top-p, min-p; the numbers are worked out by hand for probabilities of
// 8, 4, 2, 1, 1 sixteenths.
func TestFilterOrder(t *testing.T) {
	logits := []float32{0, 3 * math.Ln2, math.Ln2, 2 * math.Ln2, 0}
	for _, tt := range []struct {
		topK       int
		topP, minP float64
		want       []int32
		probs      []float32
	}{
		{0, 1, 0, []int32{1, 3, 2, 0, 4}, []float32{8. / 16, 4. / 16, 2. / 16, 1. / 16, 1. / 16}},
		{4, 1, 0, []int32{1, 3, 2, 0}, []float32{8. / 15, 4. / 15, 2. / 15, 1. / 15}}, // a tie goes to the lower id
		{1, 1, 0, []int32{1}, []float32{1}},
		{9, .76, 0, []int32{1, 3, 2}, []float32{8. / 14, 4. / 14, 2. / 14}},
		{2, .6, 0, []int32{1}, []float32{1}},                                           // 8/12 of what top-k left; of all it would be two
		{0, .9, 0, []int32{1, 3, 2, 0}, []float32{8. / 15, 4. / 15, 2. / 15, 1. / 15}}, // a tie at the edge
		{0, 1, .12, []int32{1, 3, 2, 0, 4}, []float32{8. / 16, 4. / 16, 2. / 16, 1. / 16, 1. / 16}},
		{0, 1, .2, []int32{1, 3, 2}, []float32{8. / 14, 4. / 14, 2. / 14}},
		{0, 1, 1, []int32{1}, []float32{1}},
		{3, .8, .3, []int32{1, 3}, []float32{8. / 12, 4. / 12}},
	} {
		p := Params{Temperature: 1, TopK: tt.topK, TopP: tt.topP, MinP: tt.minP}
		ids, probs, err := NewDrawer(len(logits)).Top(logits, p, 9)
		if err != nil || !slices.Equal(ids, tt.want) {
			t.Errorf("%+v: tokens %v, %v, want %v", p, ids, err, tt.want)
			continue
		}
		for i, got := range probs {
			near(t, fmt.Sprintf("%+v: probability of token %d", p, ids[i]), float64(got), tt.probs[i], 1e-7)
		}
	}
}

// Without ties, filters follow the logits wherever their tokens stand in the vocabulary.
func TestFiltersPermute(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const n = 200
	d := NewDrawer(n)
	for range 100 {
		logits, p, to := randomLogits(rng, "smooth", n), randomParams(rng), rng.Perm(n)
		moved := make([]float32, n)
		for i, l := range logits {
			moved[to[i]] = l
		}
		ids, probs, err := d.Top(logits, p, n)
		if err != nil {
			t.Fatal(err)
		}
		movedIDs, movedProbs, err := d.Top(moved, p, n)
		if err != nil || !slices.Equal(probs, movedProbs) {
			t.Fatalf("%+v: probabilities change with the order of tokens (%v)", p, err)
		}
		for i, id := range ids {
			if int32(to[id]) != movedIDs[i] {
				t.Fatalf("%+v: token %d moved to %d, yet %d is in its place", p, id, to[id], movedIDs[i])
			}
		}
	}
}

// The draws follow the distribution: chi-square over positions of one seed, and over seeds at one
// position. The bound is exceeded by chance once in a million; the seeds are fixed.
func TestExactDistribution(t *testing.T) {
	logits := []float32{1, -.5, 0, 2, .3, -2, 1.1, -4}
	const draws, bound = 60000, 42.0 // 7 degrees of freedom
	for _, p := range []Params{
		{Temperature: 1, TopP: 1},
		{Temperature: .6, TopP: 1},
		{Temperature: 1.5, TopP: .9},
		{Temperature: 1, TopP: 1, TopK: 5, MinP: .2},
	} {
		d := NewDrawer(len(logits))
		ids, probs, err := d.Top(logits, p, len(logits))
		if err != nil {
			t.Fatal(err)
		}
		for _, over := range []string{"positions", "seeds"} {
			counts := make([]int, len(logits))
			for i := range draws {
				position := i
				if over == "seeds" {
					p.Seed, position = uint64(i)<<16, 3
				}
				got, err := d.Draw(logits, p, position, 0)
				if err != nil {
					t.Fatal(err)
				}
				counts[got.Token]++
			}
			chi2, total := 0.0, 0
			for i, id := range ids {
				want := float64(probs[i]) * draws
				chi2 += (float64(counts[id]) - want) * (float64(counts[id]) - want) / want
				total += counts[id]
			}
			if chi2 > bound || total != draws {
				t.Errorf("%+v over %s: chi-square %.1f, want at most %v; %d of %d draws kept the filters: %v", p, over, chi2, bound, total, draws, counts)
			}
		}
	}
}

// Neighbouring tokens share a threefry block, and yet their noise is independent: the four words of
// (position, token) pairs give all combinations of "above the median" equally often.
func TestNoiseIsIndependent(t *testing.T) {
	var counts [16]int
	const positions = 40000
	for position := range positions {
		var combination int
		for i := range 4 {
			key := Key{0, 42}
			key[0], key[1] = key.block(0, uint32(position+i/2))
			if noiseWord(key, int32(i%2)) >= 1<<31 {
				combination |= 1 << i
			}
		}
		counts[combination]++
	}
	chi2, want := 0.0, positions/16.0
	for _, n := range counts {
		chi2 += (float64(n) - want) * (float64(n) - want) / want
	}
	if chi2 > 56 { // 15 degrees of freedom: once in a million
		t.Errorf("chi-square %.1f: %v", chi2, counts)
	}
}
