package place

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// costs are what the layers of a model, as it is stored, take to compute.
type costs struct {
	config  model.Config
	dense   []work // of each layer, all but experts
	expert  []work // of one expert of each layer
	first   work   // of the embedding's row
	last    work   // of the head
	cache   work   // of one position that a token of a layer looks back on
	hidden  float64
	choices func(layer int) int
}

// work is bytes that are read and operations that are calculated.
type work struct{ bytes, flops float64 }

// newCosts counts. choices is how many experts a token uses in a layer; nil: what the configuration says.
func newCosts(c model.Config, q Quantities, choices func(layer int) int) *costs {
	k := &costs{config: c, dense: make([]work, c.Model.NumLayers), expert: make([]work, c.Model.NumLayers), choices: choices}
	if choices == nil {
		k.choices = func(int) int { return c.Model.NumSelectedExperts }
	}
	w := newWeights(c)
	for _, t := range w.tensors {
		bytes, flops := float64(q.Storage.Bytes(t)), 2*float64(elements(t))
		switch {
		case w.expert[t.Name]:
			k.expert[t.Layer].bytes += bytes / float64(c.Model.NumExperts)
			k.expert[t.Layer].flops += flops / float64(c.Model.NumExperts)
		case t.Layer >= 0:
			k.dense[t.Layer].bytes += bytes
			k.dense[t.Layer].flops += flops
		case t.Name == model.Embedding:
			k.first.bytes = bytes / float64(c.VocabSize)
			if q.Head > 0 {
				bytes = float64(q.Head)
			}
			k.last.bytes += bytes
			k.last.flops += flops
		default:
			k.last.bytes += bytes
		}
	}
	k.cache = work{
		bytes: float64(stages.CacheBytes(c, 1, stages.CacheSize{Blocks: 1, Half: q.Cache.Half})) / kernels.BlockTokens,
		flops: 2 * 2 * float64(c.Model.NumQHeads) * float64(c.Model.KeySize), // scores and the sum over values
	}
	k.hidden = float64(BoundaryBytes(c, 4))
	return k
}

// times is so much more work.
func (w work) times(n float64) work { return work{w.bytes * n, w.flops * n} }

func (w work) plus(v work) work { return work{w.bytes + v.bytes, w.flops + v.flops} }

// on is the seconds that a device takes: what is slower, reading or calculating.
func (w work) on(bandwidth, flops float64) float64 {
	return max(per(w.bytes, bandwidth), per(w.flops, flops))
}

// rows are those of a batch.
type rows struct {
	n       float64 // rows; where streams are dealt over batches, their mean
	context float64 // positions that each looks back on
	prompt  bool    // of one prompt: its keys and values are read once, and the head has nothing to draw
}

// span is the work of layers lo to hi, experts apart, with the embedding and the head where they belong.
func (k *costs) span(lo, hi int, r rows) (sum work) {
	for l := lo; l < hi; l++ {
		sum = sum.plus(work{k.dense[l].bytes, r.n * k.dense[l].flops})
		cache := k.cache.times(r.n * r.context)
		if r.prompt {
			cache.bytes /= r.n
		}
		sum = sum.plus(cache)
	}
	if lo == 0 {
		sum = sum.plus(k.first.times(r.n))
	}
	if hi == len(k.dense) && !r.prompt {
		sum = sum.plus(work{k.last.bytes, r.n * k.last.flops})
	}
	return sum
}

// experts is the work of so many experts of a layer, expected for independent uniform routing, and the rows that they get.
func (k *costs) experts(layer, count int, r rows) (w work, got float64) {
	all, chosen := float64(k.config.Model.NumExperts), k.choices(layer)
	share := float64(count) / all
	got = r.n * float64(chosen) * share
	return work{k.expert[layer].bytes * share * expertsHit(all, float64(chosen), r.n), k.expert[layer].flops * got}, got
}

// anyHit is how likely a batch uses at least one of so many experts.
func (k *costs) anyHit(layer, count int, r rows) float64 {
	none := 1.0 // that a row uses none of them: it chooses all of its experts among the others
	all := k.config.Model.NumExperts
	for i := range min(k.choices(layer), all) {
		none *= max(0, float64(all-count-i)) / float64(all-i)
	}
	return 1 - power(none, r.n)
}
