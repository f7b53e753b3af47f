package sweep

import (
	"math/rand/v2"
	"slices"

	"troupe/lab"
)

// Interval holds a number 95 times of 100.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

const (
	maxResamples = 2000
	minResamples = 200
	maxDraws     = 40_000_000 // of documents, all resamples together: a second or two
	bootSeed     = 1
)

// intervals are 95 % intervals by the bootstrap (Efron 1979): documents are drawn with replacement, as many as there
// are, 2000 times over (less often where there are very many), by a generator with a fixed seed; the interval goes
// from the 2.5th to the 97.5th percentile. The perplexity's says how much hangs on the choice of documents; the
// change against other, in per cent, is taken within each draw, so that what documents have in common falls out. Documents
// are independent draws here, their tokens are not. With fewer than two documents there is no telling: nil.
func intervals(q, other []lab.Quality) (perplexity, change *Interval) {
	n := len(q)
	if n < 2 {
		return nil, nil
	}
	rng := rand.New(rand.NewPCG(bootSeed, uint64(n)))
	times := min(max(maxDraws/n, minResamples), maxResamples)
	levels, changes := make([]float64, times), make([]float64, times)
	for i := range times {
		var a, b lab.Quality
		for range n {
			d := rng.IntN(n)
			a.Add(q[d])
			b.Add(other[d])
		}
		levels[i], changes[i] = a.Perplexity(), percent(a.Perplexity(), b.Perplexity())
	}
	return middle(levels), middle(changes)
}

// middle is the interval with 95 % of the values.
func middle(values []float64) *Interval {
	slices.Sort(values)
	out := len(values) / 40 // 2.5 % on each side
	return &Interval{values[out], values[len(values)-1-out]}
}

// percent is how much more a is than b, in per cent.
func percent(a, b float64) float64 { return 100 * (a/b - 1) }
