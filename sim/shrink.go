package sim

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// shrink is a model with the layers and experts of another one, but hardly any width: it is carried in its place, as
// costs and lengths of messages are those of the other. ratio is how much wider the hidden state of that is.
func shrink(c model.Config) (small model.Config, ratio float64) {
	small = c
	small.VocabSize, small.PadToken, small.EOSToken = 8, 0, 1
	small.PadSizes, small.LocalMesh, small.BetweenHosts, small.Derived = nil, nil, nil, nil
	small.Model.EmbSize, small.Model.KeySize, small.Model.NumQHeads, small.Model.NumKVHeads = 2, 2, 1, 1
	small.Model.WideningFactor = 4
	return small, float64(c.Model.EmbSize) / float64(small.Model.EmbSize)
}

// weightless are the tensors of a model without values: names and shapes alone. expert tells whose each one is.
func weightless(c model.Config) (w stages.Weights, expert map[*kernels.Weight]int) {
	w, expert = stages.Weights{}, map[*kernels.Weight]int{}
	for _, t := range model.Tensors(c) {
		n := len(t.Shape)
		k := kernels.Weight{Name: t.Name, In: 1, Out: t.Shape[n-1]}
		if n >= 2 {
			k.In = t.Shape[n-2]
		}
		experts := 1
		if n == 3 {
			experts = t.Shape[0]
		}
		for x := range experts {
			one := k
			w[t.Name] = append(w[t.Name], &one)
			if n == 3 {
				expert[&one] = x
			}
		}
	}
	return w, expert
}
