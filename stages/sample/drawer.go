package sample

import (
	"fmt"
	"math"
)

// Draw is a drawn token.
type Draw struct {
	Token   int32
	LogProb float32 // natural logarithm of its probability after temperature and filters; 0 when greedy
	Kept    int     // tokens left by the filters; 1 when greedy
}

// Drawer draws tokens of one vocabulary size. It holds scratch memory, and nothing that changes a
// result. Not safe for concurrent use.
type Drawer struct {
	vocab int

	// The tokens that can still be drawn, by position in these lists.
	ids  []int32   // ascending
	rel  []float64 // scaled logit less the largest one, at most 0
	mass []uint64  // see massUnit

	keys []uint32        // cut: the tokens' values as ordered integers
	hist [1 << 11]uint64 // cut: mass by a digit of the key; zeros before and after

	released *released // made at the first draw of a jax sampler
}

// massUnit is the mass of the likeliest token. Masses are whole numbers, so that their sums do not depend
// on the order of addition, and filters give the same tokens however they are computed. Tokens below
// 2^-41 of the likeliest weigh nothing.
const massUnit = 1 << 40

// vocabMax keeps sums of masses within 63 bits.
const vocabMax = 1 << 23

// NewDrawer makes a drawer for logits of vocab tokens.
func NewDrawer(vocab int) *Drawer {
	n := max(0, min(vocab, vocabMax))
	return &Drawer{
		vocab: vocab,
		ids:   make([]int32, 0, n),
		rel:   make([]float64, n),
		mass:  make([]uint64, n),
		keys:  make([]uint32, n),
	}
}

// Draw draws a token from logits [vocab], which it does not change. position is the absolute position of
// the new token in its sequence, the counter of the exact sampler; step is 0 for the first token
// generated, the counter of the jax samplers. A logit of -Inf forbids its token; NaN and +Inf are errors,
// and so are logits that forbid every token. It allocates nothing but, once, the jax samplers' memory.
func (d *Drawer) Draw(logits []float32, p Params, position, step int) (Draw, error) {
	best, err := d.check(logits, p)
	if err != nil {
		return Draw{}, err
	}
	if position < 0 || step < 0 {
		return Draw{}, fmt.Errorf("sample: position %d, step %d, want 0 or more", position, step)
	}
	switch {
	case p.Temperature == 0:
		return Draw{Token: best, Kept: 1}, nil
	case p.Sampler == Exact:
		return d.drawExact(logits, best, p, position), nil
	default:
		return d.drawReleased(logits, p, step)
	}
}

// Top gives the likeliest tokens after temperature and filters, best first, ties to the lower ids, and
// their probabilities: n of them, or fewer when the filters leave fewer.
func (d *Drawer) Top(logits []float32, p Params, n int) (ids []int32, probs []float32, err error) {
	best, err := d.check(logits, p)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case n <= 0:
		return nil, nil, nil
	case p.Temperature == 0:
		return []int32{best}, []float32{1}, nil
	case p.Sampler == Exact:
		ids, probs = d.topExact(logits, best, p, n)
	default:
		ids, probs, err = d.topReleased(logits, p, n)
	}
	return ids, probs, err
}

// check finds the token of the largest logit, the lowest of equal ones.
func (d *Drawer) check(logits []float32, p Params) (int32, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	if len(logits) != d.vocab || d.vocab < 1 || d.vocab > vocabMax {
		return 0, fmt.Errorf("sample: %d logits, want %d (1 to %d)", len(logits), d.vocab, vocabMax)
	}
	top, best := float32(math.Inf(-1)), int32(-1)
	for i, l := range logits {
		if l > top {
			top, best = l, int32(i)
		} else if l != l {
			return 0, fmt.Errorf("sample: token %d: logit NaN, want a number: the weights or the arithmetic are damaged", i)
		}
	}
	switch {
	case best < 0:
		return 0, fmt.Errorf("sample: all logits are -Inf: leave at least one token allowed")
	case top > math.MaxFloat32:
		return 0, fmt.Errorf("sample: token %d: logit +Inf, want a number: the weights or the arithmetic overflow", best)
	}
	return best, nil
}
