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

// weightless are the tensors of a model without values: names and shapes alone.
func weightless(c model.Config) stages.Weights {
	w := stages.Weights{}
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
		for range experts {
			w[t.Name] = append(w[t.Name], &k)
		}
	}
	return w
}
