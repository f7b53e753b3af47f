package router

// Add is what both have counted: of two stages of a model, or of two runs. Both are of models of the same size, or zero.
func (c *Counters) Add(other *Counters) Counters { return c.combine(other, 1) }

// Sub is what was counted since an earlier copy of the same counters.
func (c *Counters) Sub(earlier *Counters) Counters { return c.combine(earlier, ^uint64(0)) }

// combine adds the other counters sign times; sign is 1 or -1, which for unsigned numbers is the largest one.
func (c *Counters) combine(other *Counters, sign uint64) Counters {
	out := c.Clone()
	out.Experts = max(c.Experts, other.Experts)
	for len(out.Layers) < len(other.Layers) {
		out.Layers = append(out.Layers, LayerCounters{})
	}
	for i := range other.Layers {
		if other.Layers[i].Used != nil {
			out.Layers[i].combine(&other.Layers[i], sign)
		}
	}
	return out
}

func (l *LayerCounters) combine(o *LayerCounters, sign uint64) {
	if l.Used == nil {
		*l = newLayer(len(o.Used))
	}
	l.Rows += sign * o.Rows
	l.Undefined += sign * o.Undefined
	l.MarginRows += sign * o.MarginRows
	l.Entropy += Sum(sign) * o.Entropy
	l.Margin += Sum(sign) * o.Margin
	for e, m := range o.Mass {
		l.Mass[e] += Sum(sign) * m
	}
	addAll(l.Used, o.Used, sign)
	addAll(l.Counts, o.Counts, sign)
	addAll(l.Ratio[:], o.Ratio[:], sign)
	addAll(l.Together, o.Together, sign)
}

func addAll(to, from []uint64, sign uint64) {
	for i, n := range from {
		to[i] += sign * n
	}
}
