package saliency

import (
	"fmt"
	"math"

	"troupe/lab/observe"
	"troupe/router"
)

// MaxSubsets bounds the exact search of a layer: each token is computed with every subset.
const MaxSubsets = 20_000

// Subsets judges subsets of each layer's experts: the loss of a subset S is the sum over tokens of ‖F(x) − F_S(x)‖₂,
// where F is the layer's output with all experts and F_S that with those of S alone: the router's softmax over S, its
// likeliest k, gates that sum to 1. By [NAEEDirection] both are brought to length 1 first. Its Take is for [observe.Observer.Run] under a plain top-k policy.
type Subsets struct {
	selected int
	layers   []judge
}

// judge is of one layer, with memory for one token.
type judge struct {
	subsets [][]bool  // [candidates experts] true: stays
	loss    []float64 // [candidates]
	norm    float64   // sum of ‖F(x)‖₂, or of 1 with direction
	tokens  int

	direction bool    // outputs are brought to length 1 before they are compared
	size      float64 // ‖F(x)‖₂ of the token at hand

	gram   []float64 // [experts experts] by rank: products of outputs, in pairs
	has    []bool    // [experts experts] computed for the token at hand
	weight []float64 // [experts] by rank: gate in F_S less gate in F
	ranks  []int     // where weight is not 0
	whole  []float64 // [experts] by rank: gate in F
}

// NewExact judges every subset of keep experts, in every layer, by NAEE or by NAEEDirection.
func NewExact(m router.Sizes, keep int, by Method) (*Subsets, error) {
	if err := checkKeep(m, keep); err != nil {
		return nil, err
	}
	if n := binomial(m.Experts, keep); n > MaxSubsets {
		return nil, fmt.Errorf("saliency: %d of %d experts: more than %d subsets a layer: use %s, which takes one expert out after the other",
			keep, m.Experts, MaxSubsets, NAEEGreedy)
	}
	all := choices(m.Experts, keep)
	s := newSubsets(m, func(int) [][]bool { return all })
	for l := range s.layers {
		s.layers[l].direction = by == NAEEDirection
	}
	return s, nil
}

func checkKeep(m router.Sizes, keep int) error {
	if keep < 1 || keep > m.Experts {
		return fmt.Errorf("saliency: %d experts are to stay, want 1 to %d", keep, m.Experts)
	}
	return nil
}

func newSubsets(m router.Sizes, of func(layer int) [][]bool) *Subsets {
	s := &Subsets{selected: m.Selected, layers: make([]judge, m.Layers)}
	for l := range s.layers {
		list, n := of(l), m.Experts
		s.layers[l] = judge{subsets: list, loss: make([]float64, len(list)), gram: make([]float64, n*n), has: make([]bool, n*n),
			weight: make([]float64, n), whole: make([]float64, n)}
	}
	return s
}

// Take judges the subsets of a layer by a token.
func (s *Subsets) Take(layer int, t *observe.Token) {
	j := &s.layers[layer]
	j.begin(t, s.selected)
	for i, in := range j.subsets {
		j.loss[i] += j.distance(t, in, s.selected)
	}
}

// begin takes up a token: the gates of F are those of its likeliest experts.
func (j *judge) begin(t *observe.Token, selected int) {
	j.tokens++
	clear(j.has)
	clear(j.whole)
	j.gates(t, nil, selected, func(rank int, gate float64) { j.whole[rank] = gate })
	if j.size = j.length(t, j.whole); j.direction && j.size > 0 {
		j.norm++
	} else {
		j.norm += j.size
	}
}

// gates calls yield for the k likeliest experts of a subset, nil for all, with gates that sum to 1.
func (j *judge) gates(t *observe.Token, in []bool, k int, yield func(rank int, gate float64)) {
	sum, n := 0.0, 0
	for _, e := range t.Ranked {
		if n < k && (in == nil || in[e]) {
			sum += float64(t.Probs[e])
			n++
		}
	}
	left := n
	for rank, e := range t.Ranked {
		if left == 0 {
			break
		}
		if in == nil || in[e] {
			gate := 1 / float64(n) // where all are so unlikely that their probabilities are 0
			if sum > 0 {
				gate = float64(t.Probs[e]) / sum
			}
			yield(rank, gate)
			left--
		}
	}
}

// distance is ‖F(x) − F_S(x)‖₂ of a token: with the difference d of the gates it is the root of dᵀGd, where G has the
// products of the experts' outputs in pairs. So each subset costs a few products of numbers, not of vectors.
func (j *judge) distance(t *observe.Token, in []bool, k int) float64 {
	clear(j.weight)
	j.gates(t, in, k, func(rank int, gate float64) { j.weight[rank] = gate })
	part, whole := 1.0, 1.0
	if j.direction {
		part, whole = inverse(j.length(t, j.weight)), inverse(j.size)
	}
	for rank := range j.weight {
		j.weight[rank] = part*j.weight[rank] - whole*j.whole[rank]
	}
	return j.length(t, j.weight)
}

// inverse of a length; nothing has no direction.
func inverse(length float64) float64 {
	if length == 0 {
		return 0
	}
	return 1 / length
}

// length is ‖Σ weight · output‖₂ over the ranks.
func (j *judge) length(t *observe.Token, weight []float64) float64 {
	j.ranks = j.ranks[:0]
	for rank, w := range weight {
		if w != 0 {
			j.ranks = append(j.ranks, rank)
		}
	}
	sum := 0.0
	for i, a := range j.ranks {
		sum += weight[a] * weight[a] * j.product(t, a, a)
		for _, b := range j.ranks[:i] {
			sum += 2 * weight[a] * weight[b] * j.product(t, a, b)
		}
	}
	return math.Sqrt(max(sum, 0)) // rounding may take equal ones a little below
}

// product is that of two outputs, computed once a token.
func (j *judge) product(t *observe.Token, a, b int) float64 {
	at := a*len(t.Ranked) + b
	if !j.has[at] {
		j.has[at], j.gram[at] = true, dot(t.Output(a), t.Output(b))
	}
	return j.gram[at]
}

// dot adds up in four sums, which the processor can work at together.
func dot(a, b []float32) float64 {
	var s [4]float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s[0] += float64(a[i]) * float64(b[i])
		s[1] += float64(a[i+1]) * float64(b[i+1])
		s[2] += float64(a[i+2]) * float64(b[i+2])
		s[3] += float64(a[i+3]) * float64(b[i+3])
	}
	for ; i < len(a); i++ {
		s[0] += float64(a[i]) * float64(b[i])
	}
	return s[0] + s[1] + (s[2] + s[3])
}

// Choice is the subset of a layer that stays.
type Choice struct {
	Kept []int   // ascending
	Loss float64 // mean over tokens of ‖F(x) − F_S(x)‖₂
	Norm float64 // mean over tokens of ‖F(x)‖₂; 1 by direction
}

// Best is the subset of a layer with the least loss; of equal ones the first in order.
func (s *Subsets) Best(layer int) (c Choice) {
	j, best := &s.layers[layer], 0
	for i, v := range j.loss {
		if v < j.loss[best] {
			best = i
		}
	}
	for e, in := range j.subsets[best] {
		if in {
			c.Kept = append(c.Kept, e)
		}
	}
	n := float64(max(j.tokens, 1))
	c.Loss, c.Norm = j.loss[best]/n, j.norm/n
	return c
}

// choices lists the subsets of k of n, in the order of their sorted members.
func choices(n, k int) (list [][]bool) {
	in := make([]bool, n)
	var from func(first, left int)
	from = func(first, left int) {
		if left == 0 {
			list = append(list, append([]bool(nil), in...))
			return
		}
		for e := first; e <= n-left; e++ {
			in[e] = true
			from(e+1, left-1)
			in[e] = false
		}
	}
	from(0, k)
	return list
}

// binomial is how many subsets of k there are of n, or a number above MaxSubsets where there are more than that.
func binomial(n, k int) int {
	c := 1
	for i := range min(k, n-k) {
		if c = c * (n - i) / (i + 1); c > MaxSubsets {
			return c
		}
	}
	return c
}
