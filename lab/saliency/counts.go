package saliency

import (
	"troupe/lab/observe"
	"troupe/router"
)

// Counts says how far the output of a layer is from its usual one when a token gets another number of experts: for
// every k the mean over tokens of ‖F_k(x) − F(x)‖₂, F with the usual number, gates renormalised. On random inputs
// ([observe.Noise]) that is the sensitivity of LExI (arXiv 2509.02753), which needs no text. Other than there it is a
// part of the mean length of F: a norm follows the experts, so that a layer of long outputs counts no more than others.
// Its Take is for a plain top-k policy.
type Counts struct {
	selected int
	layers   []judge
}

// NewCounts makes one for a model.
func NewCounts(m router.Sizes) *Counts {
	return &Counts{m.Selected, newSubsets(m, func(int) [][]bool { return make([][]bool, m.Experts) }).layers}
}

// Take adds a token.
func (c *Counts) Take(layer int, t *observe.Token) {
	j := &c.layers[layer]
	j.begin(t, c.selected)
	for k := range j.loss {
		j.loss[k] += j.distance(t, nil, k+1)
	}
}

// Loss is the mean distance of a layer as a part of the mean length, by number of experts: [experts], the first with one.
func (c *Counts) Loss(layer int) []float64 {
	j := &c.layers[layer]
	mean := make([]float64, len(j.loss))
	for k, sum := range j.loss {
		if j.norm > 0 { // else all are 0
			mean[k] = sum / j.norm
		}
	}
	return mean
}
