package saliency

import (
	"fmt"
	"math"

	"troupe/lab/observe"
	"troupe/router"
)

// Ratios are the gates of the last chosen experts as parts of those of the first ones, g_k/g_1, by layer, of a model
// that chooses k of them: what NAEE's dynamic skipping (arXiv 2402.14800) is calibrated on. Its Take is for a plain
// top-k policy. Memory is 80 KB a layer whatever the text: ratios are counted in steps of 1/Steps.
type Ratios struct {
	selected int
	counts   [][]int64 // [layers Steps+1]
	tokens   []int64   // [layers]
}

// Steps is how finely ratios are told apart.
const Steps = 10_000

// NewRatios makes one for a model; with a single expert a token there is nothing to skip.
func NewRatios(m router.Sizes) (*Ratios, error) {
	if m.Selected < 2 {
		return nil, fmt.Errorf("saliency: a token has %d expert: want 2 or more, so that one can be skipped", m.Selected)
	}
	r := &Ratios{selected: m.Selected, counts: make([][]int64, m.Layers), tokens: make([]int64, m.Layers)}
	for l := range r.counts {
		r.counts[l] = make([]int64, Steps+1)
	}
	return r, nil
}

// Take counts a token.
func (r *Ratios) Take(layer int, t *observe.Token) {
	first, last := t.Ranked[0], t.Ranked[r.selected-1]
	r.counts[layer][int(float64(t.Probs[last])/float64(t.Probs[first])*Steps)]++
	r.tokens[layer]++
}

// Quantile of a layer's ratios, by nearest rank, rounded down to a step, and the share of tokens that are below it:
// those lose their last expert when it is the threshold. 0 tokens have the quantile 0.
func (r *Ratios) Quantile(layer int, q float64) (ratio, below float64) {
	want := max(int64(math.Ceil(q*float64(r.tokens[layer]))), 1)
	seen := int64(0)
	for step, n := range r.counts[layer] {
		if seen+n >= want {
			return float64(step) / Steps, float64(seen) / float64(max(r.tokens[layer], 1))
		}
		seen += n
	}
	return 0, 0
}

// Policy skips, layer by layer, experts that are less likely than the quantile of the ratios, compared with the first.
// A quantile of 0 is the least threshold there is: it skips what is less than one step.
func (r *Ratios) Policy(q float64) router.Policy {
	rules := make([]router.Rule, len(r.counts))
	for l := range rules {
		ratio, _ := r.Quantile(l, q)
		rules[l] = router.Rule{How: router.Threshold, Share: max(ratio, 1./Steps), Max: r.selected}
	}
	return router.Of(rules...)
}
