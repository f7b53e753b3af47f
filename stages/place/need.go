package place

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// Need is the memory of some stages and experts that live together on one device, counted as Budget counts it. The
// journal is not among it: it is kept by who hands batches to the device.
func Need(c model.Config, q Quantities, spans []stages.Span, arith kernels.Arith, expert func(layer, expert int) bool) (m Memory) {
	w, names, layers := newWeights(c), map[string]bool{}, 0
	head := stages.HeadBytes(c, arith)
	for _, s := range spans {
		w.ofStage(s, head > 0, names)
		layers += s.Hi - s.Lo
		if s.Hi == c.Model.NumLayers {
			m.Weights += head
		}
	}
	experts := 0
	for _, t := range w.tensors {
		switch {
		case w.expert[t.Name]:
			for x := range c.Model.NumExperts {
				if expert(t.Layer, x) {
					experts++
					m.Weights += q.Storage.Bytes(t) / int64(c.Model.NumExperts)
				}
			}
		case names[t.Name]:
			m.Weights += q.Storage.Bytes(t)
		}
	}
	m.Cache = stages.CacheBytes(c, layers, q.Cache)
	if layers > 0 || experts > 0 {
		m.Batches = int64(q.Batches) * w.batchBytes(q.Limits, layers > 0)
	}
	return m
}
