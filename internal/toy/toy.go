// Package toy makes small models with random weights for tests: the same seed, the same model. Their
// sizes are odd on purpose (no powers of two, nothing that divides evenly), so that a test that passes
// with them leans on no size of a real model.
package toy

import (
	"math"
	"math/rand/v2"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// Config is the smallest model that has everything: 3 layers, 5 experts of which 2 are chosen, grouped
// queries, scale groups.
func Config() model.Config {
	return model.Config{
		VocabSize: 67, PadToken: 0, EOSToken: 2, SequenceLen: 96,
		EmbeddingMultiplierScale: 2, OutputMultiplierScale: 1.5,
		Model: model.TransformerConfig{
			EmbSize: 24, WideningFactor: 2.3, KeySize: 6, NumQHeads: 6, NumKVHeads: 3, NumLayers: 3,
			AttnOutputMultiplier: 1 / math.Sqrt(6), NumExperts: 5, NumSelectedExperts: 2,
		},
		Derived: &model.Derived{RowGroups: 4},
	}
}

// Storage says how the matrices of a toy are stored.
type Storage string

// Matrices of a checkpoint are int8 with scales where the format allows it, or plain.
const (
	Int8    Storage = "int8"
	Float32 Storage = "float32"
)

// Weights draws the weights of a configuration. Values are scaled so that the layers outweigh the token
// they begin with: the head shares its embedding, and would only repeat the token.
func Weights(c model.Config, storage Storage, seed uint64) stages.Weights {
	rng := rand.New(rand.NewPCG(seed, 0x746f79))
	w := stages.Weights{}
	for _, t := range model.Tensors(c) {
		experts, in, out := 1, 1, t.Shape[len(t.Shape)-1]
		if n := len(t.Shape); n >= 2 {
			in = t.Shape[n-2]
			if n == 3 {
				experts = t.Shape[0]
			}
		}
		for range experts {
			k := &kernels.Weight{Name: t.Name, In: in, Out: out}
			switch {
			case t.Name == model.Embedding:
				k.In, k.Out, k.ByOutput = out, in, true              // stored token by token
				k.F = normal(rng, in*out, 1/math.Sqrt(float64(out))) // [V D], out = D
			case len(t.Shape) == 1: // scales of a norm
				k.F = normal(rng, out, 0.2)
				for i := range k.F {
					k.F[i]++
				}
			case storage == Int8 && len(t.Int8) > 0:
				quantised(rng, k, t.Int8[len(t.Int8)-1])
			default:
				k.F = normal(rng, in*out, 1/math.Sqrt(float64(in)))
			}
			w[t.Name] = append(w[t.Name], k)
		}
	}
	return w
}

// quantised gives a weight int8 values and bfloat16-like scales, groups of them over its inputs.
func quantised(rng *rand.Rand, k *kernels.Weight, groups int) {
	k.Groups = groups
	k.Q = make([]int8, k.In*k.Out)
	for i := range k.Q {
		k.Q[i] = int8(rng.IntN(255) - 127)
	}
	k.Scales = make([]float32, groups*k.Out)
	for i := range k.Scales {
		s := (0.5 + rng.Float64()) / (73 * math.Sqrt(float64(k.In))) // 73: deviation of the values
		k.Scales[i] = math.Float32frombits(math.Float32bits(float32(s)) &^ 0xffff)
	}
}

func normal(rng *rand.Rand, n int, deviation float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64() * deviation)
	}
	return v
}
