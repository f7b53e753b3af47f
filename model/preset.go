package model

import (
	"fmt"
	"math"
	"strings"
)

// Preset is a named configuration.
type Preset struct {
	Name, Doc string
	Config    Config
}

// Presets are the configurations that `new`, `plan` and `bench` know by name.
var Presets = []Preset{
	{"grok-1", "xAI's released model: 314 billion parameters, int8", grok1Config(131072, 8192, 6144, 8, 128, 48, 8, 64, 8, 2, 8)},
	{"demo", "the embedded demonstration model: 11.6 million parameters", demoConfig()},
	{"bench-cache", "synthetic, 12 MB: stays in the processor's caches", grok1Config(4096, 2048, 256, 4, 64, 4, 2, 4, 4, 2, 8)},
	{"bench-memory", "synthetic, 1.7 GB: read from memory for every token", grok1Config(32768, 4096, 1024, 7.5, 128, 8, 2, 12, 8, 2, 8)},
}

// FindPreset returns the preset of that name.
func FindPreset(name string) (Preset, error) {
	var names []string
	for _, p := range Presets {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, fmt.Errorf("model: preset %q unknown, have %s", name, strings.Join(names, ", "))
}

// The ffn size of bench-memory, 5120, is 8 row groups of whole blocks, as Grok-1's is.
func grok1Config(vocab, length, emb int, widening float64, keySize, q, kv, layers, experts, selected, groups int) Config {
	return Config{
		VocabSize: vocab, EOSToken: 2, SequenceLen: length, EmbeddingInitScale: 1,
		EmbeddingMultiplierScale: math.Sqrt(float64(emb)), OutputMultiplierScale: 1 / math.Sqrt(3),
		Model: TransformerConfig{
			EmbSize: emb, WideningFactor: widening, KeySize: keySize, NumQHeads: q, NumKVHeads: kv, NumLayers: layers,
			AttnOutputMultiplier: 1 / math.Sqrt(float64(keySize)), NumExperts: experts, NumSelectedExperts: selected,
		},
		Derived: &Derived{Quantised: "int8", RowGroups: groups},
	}
}

func demoConfig() Config {
	c := grok1Config(2048, 1024, 192, 3, 32, 6, 2, 6, 8, 2, 8)
	c.OutputMultiplierScale = 0.5
	return c
}
