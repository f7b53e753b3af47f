package look

import (
	"fmt"
	"math"

	"troupe/router"
)

// MaxPairs is the most experts of a layer whose pairs are counted: the counts grow with the square.
const MaxPairs = 256

// Pairs counts which experts of a layer tokens use together. Use [NewPairs].
type Pairs struct {
	Layers, Experts int
	both            []int64   // [layers, experts, experts]: tokens that used both
	gates           []float64 // the same: sums of the products of their gates
}

// NewPairs are those of no token. Models with more than [MaxPairs] experts are refused.
func NewPairs(layers, experts int) (*Pairs, error) {
	if experts > MaxPairs || layers < 1 || experts < 1 || layers > 4*maxCells/(experts*experts) {
		return nil, fmt.Errorf("look: pairs of %d experts in %d layers, want at most %d experts and %d pairs", experts, layers, MaxPairs, 4*maxCells)
	}
	n := layers * experts * experts
	return &Pairs{Layers: layers, Experts: experts, both: make([]int64, n), gates: make([]float64, n)}, nil
}

// Add counts a token's way through the layers.
func (p *Pairs) Add(path router.Path) {
	for l := range p.Layers {
		experts, gates := path.At(l)
		for i, e := range experts {
			for j, f := range experts {
				at := p.at(l, int(e), int(f))
				p.both[at]++
				p.gates[at] += float64(gates[i]) * float64(gates[j])
			}
		}
	}
}

func (p *Pairs) at(layer, e, f int) int { return (layer*p.Experts+e)*p.Experts + f }

// Together is how many tokens used both experts; for e = f those that used it.
func (p *Pairs) Together(layer, e, f int) int64 { return p.both[p.at(layer, e, f)] }

// Given is the part of the tokens of expert e that used f as well; NaN for an expert without tokens.
func (p *Pairs) Given(layer, e, f int) float64 {
	return float64(p.Together(layer, e, f)) / float64(p.Together(layer, e, e))
}

// Jaccard is how much the sets of tokens of two experts overlap: those that used both by those that used at least one,
// 0 to 1; NaN when there is none.
func (p *Pairs) Jaccard(layer, e, f int) float64 {
	both := p.Together(layer, e, f)
	return float64(both) / float64(p.Together(layer, e, e)+p.Together(layer, f, f)-both)
}

// Cosine is that of the two experts' gates over all tokens, a gate of 0 where a token did not use one:
//
//	Σ gₑ g_f / √(Σ gₑ² Σ g_f²),
//
// 0 for experts that no token used both of, 1 for those with gates in one proportion everywhere; NaN when one has none.
func (p *Pairs) Cosine(layer, e, f int) float64 {
	return p.gates[p.at(layer, e, f)] / math.Sqrt(p.gates[p.at(layer, e, e)]*p.gates[p.at(layer, f, f)])
}
