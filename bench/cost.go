package bench

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// cost is what a token takes, counted from the weights as they are in memory.
type cost struct {
	dense  int64 // bytes of weights that every batch reads once: all but experts; of the embedding one row, and all of the head, which may be its own
	expert int64 // bytes of one expert, on average over the layers
	pairs  int   // experts that a token uses at most, over all layers
	cache  int64 // bytes of keys and values of one position, all layers
	macs   int64 // multiply-adds of a token in linear and expert
	int8   bool  // their matrices are int8
	layers int
}

func costOf(c model.Config, w stages.Weights, p router.Policy, a kernels.Arith) cost {
	plan := model.NewPlan(c)
	n := cost{layers: c.Model.NumLayers, int8: true}
	add := func(steps []model.Step) {
		for _, s := range steps {
			for _, name := range s.Weights {
				n.addDense(s.Op, w[name])
			}
		}
	}
	add(plan.Embed)
	add(plan.Head)
	if own := stages.HeadBytes(c, a); own > 0 {
		for _, e := range w[model.Embedding] {
			n.dense += own - weightBytes(e)
		}
	}
	for l := range n.layers {
		add(plan.Before(l))
		add(plan.After(l))
		n.pairs += p.Most(l, c.Model.NumExperts)
		for _, name := range plan.Expert(l).Weights {
			for _, one := range w[name][:min(1, len(w[name]))] { // the others are as large
				n.expert += weightBytes(one)
				n.addMACs(one, int64(p.Most(l, c.Model.NumExperts)))
			}
		}
	}
	n.expert /= int64(n.layers)
	n.cache = stages.CacheBytes(c, n.layers, stages.CacheSize{Blocks: 1, Half: stages.HalfCache(a)}) / kernels.BlockTokens
	return n
}

func (n *cost) addDense(op kernels.Op, list []*kernels.Weight) {
	for _, w := range list {
		switch op {
		case kernels.Embed:
			n.dense += weightBytes(w) / int64(w.Out)
		case kernels.Linear:
			n.addMACs(w, 1)
			fallthrough
		default:
			n.dense += weightBytes(w)
		}
	}
}

func (n *cost) addMACs(w *kernels.Weight, times int64) {
	n.macs += int64(w.In) * int64(w.Out) * times
	n.int8 = n.int8 && w.Quantised()
}

func weightBytes(w *kernels.Weight) int64 {
	return int64(len(w.Q)) + 4*int64(len(w.Scales)) + 4*int64(len(w.F))
}

// active is the bytes read for a token whose batch has so many rows and uses so many experts, over all
// layers: weights are read once for all rows, keys and values for each.
func (n *cost) active(rows, experts float64, context int) int64 {
	weights := float64(n.dense) + experts*float64(n.expert)
	return int64(weights/rows) + n.cache*int64(context)
}

// ActiveBytes is what a token alone reads of the weights when it uses so many experts over all layers: all but
// experts once, and those. Keys and values are not in it.
func ActiveBytes(c model.Config, w stages.Weights, a kernels.Arith, experts float64) int64 {
	n := costOf(c, w, router.Uniform(1), a)
	return n.active(1, experts, 0)
}
