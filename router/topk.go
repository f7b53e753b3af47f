package router

import (
	"cmp"
	"fmt"
	"slices"
)

// Choice is one expert chosen for a row, and the weight of its output in the row's sum.
type Choice struct {
	Expert int32
	Gate   float32 // the softmax probability over all experts, not renormalised
}

// topK writes the k likeliest experts of one row into best, best first, ties to the lower index, and
// returns it resized; it allocates only when best is too small. probs [experts] is the row's softmax.
// k outside 1..experts and probabilities that are not finite are errors.
//
// Source: xai-org/grok-1 model.py, Router and MoELayer (jax.lax.top_k has the same ties).
func topK(probs []float32, k int, best []Choice) ([]Choice, error) {
	best = best[:0]
	if k < 1 || k > len(probs) {
		return best, fmt.Errorf("%d experts for a row, want 1 to %d", k, len(probs))
	}
	for e, p := range probs {
		if p-p != 0 { // NaN or infinite
			return best[:0], fmt.Errorf("expert %d: probability %v, want a number: the row's hidden state is not finite", e, p)
		}
		if k > mostInserted {
			best = append(best, Choice{Expert: int32(e), Gate: p})
			continue
		}
		if len(best) == k {
			if p <= best[k-1].Gate {
				continue
			}
			best = best[:k-1]
		}
		i := len(best)
		best = append(best, Choice{})
		for ; i > 0 && best[i-1].Gate < p; i-- { // equal ones stay before: they have lower indices
			best[i] = best[i-1]
		}
		best[i] = Choice{Expert: int32(e), Gate: p}
	}
	if k > mostInserted {
		slices.SortFunc(best, likelier)
	}
	return best[:k], nil
}

// mostInserted is up to where inserting one by one is faster than sorting all.
const mostInserted = 64

// likelier orders choices, best first, ties to the lower index.
func likelier(a, b Choice) int {
	return cmp.Or(cmp.Compare(b.Gate, a.Gate), cmp.Compare(a.Expert, b.Expert))
}
