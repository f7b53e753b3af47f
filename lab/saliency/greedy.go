package saliency

import (
	"troupe/lab/observe"
	"troupe/router"
)

// Greedy takes one expert after the other out of every layer, each time the one whose absence costs least. It needs a
// pass over the texts for each: experts - keep of them.
func Greedy(m router.Sizes, keep int, pass func(observe.Take) error) ([]Choice, error) {
	if err := checkKeep(m, keep); err != nil {
		return nil, err
	}
	layers := make([]Choice, m.Layers)
	for l := range layers {
		for e := range m.Experts {
			layers[l].Kept = append(layers[l].Kept, e)
		}
	}
	for range m.Experts - keep {
		s := newSubsets(m, func(layer int) [][]bool { return without(layers[layer].Kept, m.Experts) })
		if err := pass(s.Take); err != nil {
			return nil, err
		}
		for l := range layers {
			layers[l] = s.Best(l)
		}
	}
	return layers, nil
}

// without lists the subsets that lack one more. The later the expert, the earlier its subset: so the order is that
// of the sorted members, as the exact search has it.
func without(kept []int, experts int) (list [][]bool) {
	for i := len(kept) - 1; i >= 0; i-- {
		in := make([]bool, experts)
		for j, e := range kept {
			in[e] = j != i
		}
		list = append(list, in)
	}
	return list
}
