package router

// Counters add up what was chosen, by layer and expert. Not safe for concurrent use: each router keeps
// its own, and hands out copies.
type Counters struct {
	experts int
	pairs   []uint64  // [layers experts]
	gates   []float64 // [layers experts]
}

// NewCounters returns counters at zero.
func NewCounters(layers, experts int) *Counters {
	return &Counters{experts: experts, pairs: make([]uint64, layers*experts), gates: make([]float64, layers*experts)}
}

// Count adds a batch's choice at a layer. It allocates nothing.
func (c *Counters) Count(layer int, r *Routing) {
	pairs, gates := c.Layer(layer)
	for p, e := range r.Expert {
		pairs[e]++
		gates[e] += float64(r.Gate[p])
	}
}

// Layer gives a view of one layer's counts by expert: rows that chose it, and the sum of their gates.
func (c *Counters) Layer(layer int) (pairs []uint64, gates []float64) {
	from, to := layer*c.experts, (layer+1)*c.experts
	return c.pairs[from:to:to], c.gates[from:to:to]
}
