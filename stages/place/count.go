package place

import (
	"math"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// Parameters is the number of weights of a model, scales of quantised matrices not counted.
func Parameters(c model.Config) (sum int64) {
	for _, t := range model.Tensors(c) {
		sum += elements(t)
	}
	return sum
}

// Active is the number of weights that one token meets when it uses count(layer) experts in each layer:
// everything outside the experts, the embedding once (it is the head too), and its experts.
func Active(c model.Config, count func(layer int) int) int64 {
	sum := 0.0
	w := newWeights(c)
	for _, t := range w.tensors {
		sum += float64(elements(t)) * w.share(t, count, 1)
	}
	return int64(math.Round(sum))
}

// ReadBytes is the number of weight bytes that a batch of tokens reads, one token a sequence, expected
// for independent uniform routing: what bounds the speed of decoding from memory. Real routing is
// correlated and reads less. For a single token it is exact, but for the rows of the embedding that are
// looked up. head is the bytes of a head of its own (stages.HeadBytes), which is then read in the place of the embedding.
func ReadBytes(c model.Config, storage Storage, head int64, count func(layer int) int, tokens int) int64 {
	sum := float64(head)
	w := newWeights(c)
	for _, t := range w.tensors {
		if t.Name != model.Embedding || head == 0 {
			sum += float64(storage.Bytes(t)) * w.share(t, count, tokens)
		}
	}
	return int64(math.Round(sum))
}

// ExpertsHit is the expected number of experts of a layer that a number of tokens use together, selected
// ones each, when all are equally likely: E(1-(1-k/E)^n).
func ExpertsHit(experts, selected, tokens int) float64 {
	return expertsHit(float64(experts), float64(selected), float64(tokens))
}

func expertsHit(experts, selected, tokens float64) float64 {
	return experts * (1 - power(1-selected/experts, tokens))
}

func power(x, n float64) float64 { return math.Pow(max(x, 0), n) }

// CacheBytesPerToken is what one position takes in the KV cache of all layers.
func CacheBytesPerToken(c model.Config, half bool) int64 {
	return stages.CacheBytes(c, c.Model.NumLayers, stages.CacheSize{Blocks: 1, Half: half}) / kernels.BlockTokens
}

// BoundaryBytes is what one token takes on its way from a stage to the next, or to an expert and back, at
// that many bytes an activation.
func BoundaryBytes(c model.Config, activation int) int64 {
	return int64(c.Model.EmbSize) * int64(activation)
}
