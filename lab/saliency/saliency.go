// Package saliency says which experts a model can do without, from what they make of texts: scores of single experts,
// and the search for the subset of a layer's experts that changes its output least. It is arithmetic on tokens that
// [troupe/lab/observe] hands it: one pass over the texts is enough for all scores and for the exact search.
//
// Gates are renormalised, to sum to 1 over a token's experts: in a model whose norm follows the experts, as in Grok-1,
// a common factor cancels, and REAP's authors lose less with them.
package saliency

import (
	"math"
	"slices"

	"troupe/lab/observe"
	"troupe/router"
)

// Method is a way to choose the experts that stay.
type Method string

// Methods of scores are one pass; those of search look at the experts that are left together.
const (
	NAEE Method = "naee" // exact search: Lu et al. 2024, arXiv 2402.14800
	// NAEEDirection is NAEE of outputs brought to length 1, as a norm behind the experts sees them: tokens whose outputs
	// are long count no more than others.
	NAEEDirection Method = "naee-direction"
	NAEEGreedy    Method = "naee-greedy" // the same loss, one expert taken out after the other
	REAP          Method = "reap"        // mean of gate times norm of the output: Lasby et al. 2025, arXiv 2510.13999
	EAN           Method = "ean"         // sum of norms of the output (expert activation norm)
	Frequency     Method = "frequency"   // tokens that chose the expert
	Router        Method = "router"      // sum of the router's probabilities
)

// Methods lists all of them, the better ones first.
func Methods() []Method {
	return []Method{NAEE, NAEEDirection, NAEEGreedy, REAP, EAN, Frequency, Router}
}

// Searches tells that a method judges subsets; [Layer.Score] has no value for it.
func (m Method) Searches() bool { return m == NAEE || m == NAEEDirection || m == NAEEGreedy }

// Expert is what the tokens of a text say about an expert. "Chosen" is by the policy that the tokens ran under.
type Expert struct {
	Tokens   int     // that chose it
	Mass     float64 // sum of the router's probabilities, over all tokens
	Gates    float64 // sum of renormalised gates, over those that chose it
	Norms    float64 // sum of ‖f(x)‖₂, over those that chose it
	Weighted float64 // sum of gate · ‖f(x)‖₂, over those that chose it
	Largest  float64 // largest |f(x)_i|, over those that chose it: "super experts" stand out
}

// Layer holds the experts of a layer.
type Layer struct {
	Tokens  int
	Experts []Expert
}

// Score of an expert by a method of scores: the higher, the more it is worth. NaN for other methods.
func (l *Layer) Score(m Method, expert int) float64 {
	e := &l.Experts[expert]
	switch m {
	case REAP:
		return e.Weighted / float64(max(e.Tokens, 1))
	case EAN:
		return e.Norms
	case Frequency:
		return float64(e.Tokens)
	case Router:
		return e.Mass
	}
	return math.NaN()
}

// Keep is the n experts of the highest scores, ascending; of equal ones those of lower number.
func (l *Layer) Keep(m Method, n int) []int {
	order := make([]int, len(l.Experts))
	for e := range order {
		order[e] = e
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := l.Score(m, a), l.Score(m, b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	kept := order[:n]
	slices.Sort(kept)
	return kept
}

// Scorer adds up scores; its Take is for [observe.Observer.Run].
type Scorer struct{ Layers []Layer }

// NewScorer makes one for a model.
func NewScorer(m router.Sizes) *Scorer {
	s := &Scorer{Layers: make([]Layer, m.Layers)}
	for l := range s.Layers {
		s.Layers[l].Experts = make([]Expert, m.Experts)
	}
	return s
}

// Take adds a token. Layers may come at the same time, tokens of a layer one after the other.
func (s *Scorer) Take(layer int, t *observe.Token) {
	l := &s.Layers[layer]
	l.Tokens++
	for e, p := range t.Probs {
		l.Experts[e].Mass += float64(p)
	}
	sum := 0.0
	for _, g := range t.Gate[:t.Chosen] {
		sum += float64(g)
	}
	for rank, e := range t.Ranked[:t.Chosen] {
		x, gate := &l.Experts[e], float64(t.Gate[rank])/sum
		squares, largest := 0.0, 0.0
		for _, v := range t.Output(rank) {
			squares += float64(v) * float64(v)
			largest = max(largest, math.Abs(float64(v)))
		}
		norm := math.Sqrt(squares)
		x.Tokens++
		x.Gates += gate
		x.Norms += norm
		x.Weighted += gate * norm
		x.Largest = max(x.Largest, largest)
	}
}
