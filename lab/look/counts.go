package look

import (
	"fmt"
	"math"

	"troupe/router"
)

// maxCells bounds layers times experts of what is counted, times domains: a file's header could ask for any memory.
const maxCells = 1 << 22

// Counts are the loads of the experts of a model. Use [NewCounts].
type Counts struct {
	Layers, Experts int
	Rows            []int64   // [layers]: tokens with at least one expert there
	Used            []int64   // [layers, experts]: tokens that used the expert
	First           []int64   // [layers, experts]: tokens whose likeliest expert it was
	Gate            []float64 // [layers, experts]: sum of the expert's gates
}

// NewCounts are those of no token.
func NewCounts(layers, experts int) (*Counts, error) {
	if layers < 1 || experts < 1 || layers > maxCells/experts {
		return nil, fmt.Errorf("look: %d layers of %d experts, want at least one of each, and at most %d experts in all", layers, experts, maxCells)
	}
	n := layers * experts
	return &Counts{Layers: layers, Experts: experts, Rows: make([]int64, layers),
		Used: make([]int64, n), First: make([]int64, n), Gate: make([]float64, n)}, nil
}

// Add counts a token's way through the layers, which has as many layers and no other experts than the counts.
func (c *Counts) Add(p router.Path) {
	for l := range c.Layers {
		experts, gates := p.At(l)
		if len(experts) == 0 {
			continue
		}
		row := l * c.Experts
		c.Rows[l]++
		c.First[row+int(experts[0])]++
		for i, e := range experts {
			c.Used[row+int(e)]++
			c.Gate[row+int(e)] += float64(gates[i])
		}
	}
}

// Measure says what of an expert is counted.
type Measure int

// The measures of a load.
const (
	Use   Measure = iota // (token, expert) pairs
	Gates                // the weights of the experts' outputs
	First                // the likeliest expert alone
)

// Load is what the experts of a layer have, [experts].
func (c *Counts) Load(m Measure, layer int) []float64 {
	load := make([]float64, c.Experts)
	for e := range load {
		switch i := layer*c.Experts + e; m {
		case Use:
			load[e] = float64(c.Used[i])
		case Gates:
			load[e] = c.Gate[i]
		case First:
			load[e] = float64(c.First[i])
		}
	}
	return load
}

// Share is the part of a layer's load that each expert has, [experts]: they sum to 1, or are all 0 where nothing was
// counted.
func (c *Counts) Share(m Measure, layer int) []float64 { return normalised(c.Load(m, layer)) }

func normalised(load []float64) []float64 {
	sum := 0.0
	for _, v := range load {
		sum += v
	}
	if !(sum > 0) || math.IsInf(sum, 0) { // gates of a file need not be numbers
		return make([]float64, len(load))
	}
	for i := range load {
		load[i] /= sum
	}
	return load
}

// Entropy is -Σ p ln p of shares, in nats: ln of their number when all are equal, 0 when one has everything.
func Entropy(shares []float64) float64 {
	h := 0.0
	for _, p := range shares {
		if p > 0 {
			h -= p * math.Log(p)
		}
	}
	return h
}

// PerToken is the mean number of experts that a token used in a layer; 0 where there is none.
func (c *Counts) PerToken(layer int) float64 {
	n := int64(0)
	for _, u := range c.Used[layer*c.Experts:][:c.Experts] {
		n += u
	}
	return float64(n) / float64(max(c.Rows[layer], 1))
}

// Lift says how often each expert is used here against elsewhere: its share divided by the one that it has in all,
// [experts]; 1 as often, 2 twice as often, NaN where it has none in all.
func (c *Counts) Lift(all *Counts, m Measure, layer int) []float64 {
	lift, of := c.Share(m, layer), all.Share(m, layer)
	for e := range lift {
		if lift[e] /= of[e]; of[e] == 0 {
			lift[e] = math.NaN()
		}
	}
	return lift
}
