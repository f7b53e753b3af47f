package router

import "slices"

const (
	// RatioBins is the number of bins of LayerCounters.Ratio.
	RatioBins = 16
	// MostTogether is the largest number of experts for which pairs are counted: 32,640 of them, 255 KiB a layer.
	MostTogether = 256
)

// Sum is a sum of numbers of either sign in units of 2^-26, each rounded to the nearest when it is added: off by 7.5e-9
// at most. As it is an integer it does not depend on the order in which rows came, and differences are exact. It
// overflows after 10^11 rows of 1.
type Sum int64

const sumUnit = 1 << 26

// Float is the sum.
func (s Sum) Float() float64 { return float64(s) / sumUnit }

func (s *Sum) add(f float32) {
	if f < 0 {
		*s -= Sum(-f*sumUnit + 0.5)
		return
	}
	*s += Sum(f*sumUnit + 0.5)
}

// Counters count what routers choose, layer by layer. Figures of a stretch of time are the difference of two copies.
// The zero Counters are nothing counted. One holder at a time.
type Counters struct {
	Experts int             // of a layer
	Layers  []LayerCounters // of the model; those that are counted elsewhere are zero

	mark     []uint32 // [experts]: stamp where the row at hand has chosen the expert
	stamp    uint32
	distinct []int32 // room for [experts]: of the row at hand, each once
}

// LayerCounters are those of a layer. "Probabilities" are the router's softmax over all experts of the layer, whatever
// the policy makes of it.
type LayerCounters struct {
	Rows      uint64   // tokens
	Undefined uint64   // rows whose probabilities are not finite; they are counted nowhere else
	Used      []uint64 // [experts]: rows that used the expert
	Mass      []Sum    // [experts]: gates, the weights with which the expert's outputs were added
	// Counts is [experts+1]: rows by how many experts they chose. One that computed for several (Rule.Replace) counts as
	// many here, and once in Used and Together.
	Counts     []uint64
	Entropy    Sum    // of the probabilities, nats
	Margin     Sum    // probability of the last chosen expert less that of the best one left out; below 0 where a policy has passed a better one over
	MarginRows uint64 // rows that left an expert out, and have a margin
	// Ratio is the second largest probability by the largest, in bins of 1/16; 1 belongs to the last bin. Layers
	// of one expert have none.
	Ratio [RatioBins]uint64
	// Together is for a < b how many rows used both experts, at place b(b-1)/2+a; nil with more than MostTogether
	// experts. Pair reads it.
	Together []uint64
}

// NewCounters makes counters for the layers lo to hi-1 of a model.
func NewCounters(layers, experts, lo, hi int) *Counters {
	c := &Counters{Experts: experts, Layers: make([]LayerCounters, layers), mark: make([]uint32, experts), distinct: make([]int32, 0, experts)}
	for i := lo; i < hi; i++ {
		c.Layers[i] = newLayer(experts)
	}
	return c
}

func newLayer(experts int) LayerCounters {
	l := LayerCounters{Used: make([]uint64, experts), Mass: make([]Sum, experts), Counts: make([]uint64, experts+1)}
	if experts <= MostTogether {
		l.Together = make([]uint64, experts*(experts-1)/2)
	}
	return l
}

// Count takes in a batch at a layer: the probabilities [rows experts], and what was chosen from them. Rows named in
// skip, ascending, are left out. It allocates nothing.
func (c *Counters) Count(layer int, probs []float32, r *Routing, skip []int32) {
	l, n := &c.Layers[layer], c.Experts
	for row := range r.Rows() {
		if len(skip) > 0 && int(skip[0]) == row {
			skip = skip[1:]
			continue
		}
		from, to := r.Start[row], r.Start[row+1]
		c.row(l, probs[row*n:(row+1)*n], r.Expert[from:to], r.Gate[from:to])
	}
}

// row counts one row: experts and gates are what it uses, by rank.
func (c *Counters) row(l *LayerCounters, probs []float32, experts []int32, gates []float32) {
	distinct := c.choose(experts)
	entropy, first, second, out := float32(0), float32(0), float32(0), float32(0)
	for e, p := range probs {
		entropy -= p * log(p)
		if p > second {
			first, second = max(first, p), min(first, p)
		}
		if p > out && c.mark[e] != c.stamp {
			out = p
		}
	}
	if entropy-entropy != 0 { // NaN or infinite, as one of the probabilities is
		l.Undefined++
		return
	}
	l.Rows++
	l.Entropy.add(entropy)
	l.Counts[min(len(experts), c.Experts)]++
	if len(probs) > 1 && first > 0 {
		l.Ratio[min(int(second/first*RatioBins), RatioBins-1)]++
	}
	if k := len(experts); k > 0 && k < len(probs) {
		l.Margin.add(probs[experts[k-1]] - out)
		l.MarginRows++
	}
	for i, e := range experts {
		l.Mass[e].add(gates[i])
	}
	for _, e := range distinct {
		l.Used[e]++
	}
	if l.Together != nil {
		l.pairs(distinct)
	}
}

// choose marks the experts of a row, and lists each once.
func (c *Counters) choose(experts []int32) (distinct []int32) {
	if c.stamp++; c.stamp == 0 { // after 2^32 rows old marks could be taken for new ones
		clear(c.mark)
		c.stamp = 1
	}
	distinct = c.distinct[:0]
	for _, e := range experts {
		if c.mark[e] != c.stamp {
			c.mark[e] = c.stamp
			distinct = append(distinct, e)
		}
	}
	return distinct
}

func (l *LayerCounters) pairs(experts []int32) {
	for i, a := range experts {
		for _, b := range experts[:i] {
			l.Together[pairAt(int(a), int(b))]++
		}
	}
}

func pairAt(a, b int) int {
	if a > b {
		a, b = b, a
	}
	return b*(b-1)/2 + a
}

// Pair is how many rows used both experts; 0 where pairs are not counted. An expert with itself: rows that used it.
func (l *LayerCounters) Pair(a, b int) uint64 {
	switch {
	case l.Together == nil:
		return 0
	case a == b:
		return l.Used[a]
	}
	return l.Together[pairAt(a, b)]
}

// MeanEntropy is that of the router's distribution, in nats; 0 without rows, as are the other means.
func (l *LayerCounters) MeanEntropy() float64 { return mean(l.Entropy.Float(), l.Rows) }

// MeanMargin is that of the rows that left an expert out.
func (l *LayerCounters) MeanMargin() float64 { return mean(l.Margin.Float(), l.MarginRows) }

// MeanCount is how many experts a row chose.
func (l *LayerCounters) MeanCount() float64 {
	sum := uint64(0)
	for n, rows := range l.Counts {
		sum += uint64(n) * rows
	}
	return mean(float64(sum), l.Rows)
}

// Share is the part of the rows that used an expert, 0 to 1.
func (l *LayerCounters) Share(expert int) float64 { return mean(float64(l.Used[expert]), l.Rows) }

func mean(sum float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// Clone is a copy that shares nothing.
func (c *Counters) Clone() Counters {
	out := Counters{Experts: c.Experts, Layers: slices.Clone(c.Layers)}
	for i := range out.Layers {
		l := &out.Layers[i]
		l.Used, l.Mass, l.Counts, l.Together = slices.Clone(l.Used), slices.Clone(l.Mass), slices.Clone(l.Counts), slices.Clone(l.Together)
	}
	return out
}
