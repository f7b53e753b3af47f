package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/model"
)

// field is a number of the configuration that a flag may change; the flag has the reference's name.
type field struct {
	name, usage string
	int         func(*model.Config) *int     // one of the two
	float       func(*model.Config) *float64 //
}

// configFields are the fields of the reference's TransformerConfig and LanguageModelConfig that shape a
// checkpoint.
var configFields = []field{
	{"num-layers", "decoder layers", func(c *model.Config) *int { return &c.Model.NumLayers }, nil},
	{"emb-size", "width of the model", func(c *model.Config) *int { return &c.Model.EmbSize }, nil},
	{"widening-factor", "experts are 2/3 F times as wide as the model", nil, func(c *model.Config) *float64 { return &c.Model.WideningFactor }},
	{"key-size", "width of an attention head", func(c *model.Config) *int { return &c.Model.KeySize }, nil},
	{"num-q-heads", "query heads", func(c *model.Config) *int { return &c.Model.NumQHeads }, nil},
	{"num-kv-heads", "key and value heads", func(c *model.Config) *int { return &c.Model.NumKVHeads }, nil},
	{"num-experts", "experts of a layer", func(c *model.Config) *int { return &c.Model.NumExperts }, nil},
	{"num-selected-experts", "experts a token uses", func(c *model.Config) *int { return &c.Model.NumSelectedExperts }, nil},
	{"vocab-size", "tokens of the vocabulary", func(c *model.Config) *int { return &c.VocabSize }, nil},
	{"sequence-len", "longest prompt and continuation", func(c *model.Config) *int { return &c.SequenceLen }, nil},
	{"pad-token", "id of the padding", func(c *model.Config) *int { return &c.PadToken }, nil},
	{"eos-token", "id that ends a text", func(c *model.Config) *int { return &c.EOSToken }, nil},
	{"attn-output-multiplier", "`F` times the attention logits; 1/√key-size if that changes", nil, func(c *model.Config) *float64 { return &c.Model.AttnOutputMultiplier }},
	{"embedding-multiplier-scale", "`F` times the embedding; √emb-size if that changes", nil, func(c *model.Config) *float64 { return &c.EmbeddingMultiplierScale }},
	{"output-multiplier-scale", "`F` times the logits", nil, func(c *model.Config) *float64 { return &c.OutputMultiplierScale }},
}

// noDefault keeps the zero of a flag, which is none, out of the help.
const noDefault = `""`

// configFlags are --preset and a flag for each field.
func configFlags(base string) []cli.Flag {
	const category = "Configuration"
	flags := []cli.Flag{
		&cli.StringFlag{Name: "preset", Usage: "`NAME` to start from: " + presetNames(), DefaultText: base, Category: category},
	}
	for _, f := range configFields {
		if f.int != nil {
			flags = append(flags, &cli.IntFlag{Name: f.name, Usage: f.usage, DefaultText: noDefault, Category: category})
		} else {
			flags = append(flags, &cli.Float64Flag{Name: f.name, Usage: f.usage, DefaultText: noDefault, Category: category})
		}
	}
	return append(flags,
		&cli.StringFlag{Name: "quantised", Usage: "`WHICH` matrices are int8: int8 (all), experts, attention or none", DefaultText: noDefault, Category: category},
		&cli.IntFlag{Name: "row-groups", Usage: "scale groups of the attention output and down matrices", DefaultText: noDefault, Category: category})
}

func presetNames() string {
	var names []string
	for _, p := range model.Presets {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// configured tells whether a flag changes a configuration.
func configured(c *cli.Context) bool {
	for _, f := range configFields {
		if c.IsSet(f.name) {
			return true
		}
	}
	return c.IsSet("quantised") || c.IsSet("row-groups")
}

// readConfig changes the base preset, or the one of --preset, by the flags.
func readConfig(c *cli.Context, base string) (model.Config, error) {
	if c.IsSet("preset") {
		base = c.String("preset")
	}
	preset, err := model.FindPreset(base)
	if err != nil {
		var names []string
		for _, p := range model.Presets {
			names = append(names, p.Name)
		}
		return model.Config{}, badFlag("preset", fmt.Errorf("%q unknown, want one of %s%s", base, presetNames(), didYouMean("", base, names)))
	}
	config, derived := preset.Config, *preset.Config.Derived
	config.Derived = &derived
	for _, f := range configFields {
		if !c.IsSet(f.name) {
			continue
		}
		if f.int != nil {
			*f.int(&config) = c.Int(f.name)
		} else {
			*f.float(&config) = c.Float64(f.name)
		}
	}
	if c.IsSet("emb-size") && !c.IsSet("embedding-multiplier-scale") {
		config.EmbeddingMultiplierScale = math.Sqrt(float64(config.Model.EmbSize))
	}
	if c.IsSet("key-size") && !c.IsSet("attn-output-multiplier") {
		config.Model.AttnOutputMultiplier = 1 / math.Sqrt(float64(config.Model.KeySize))
	}
	if c.IsSet("quantised") {
		derived.Quantised = c.String("quantised")
	}
	m := config.Model
	switch rows := [2]int{m.FFNSize(), m.NumQHeads * m.KeySize}; {
	case c.IsSet("row-groups"):
		derived.RowGroups = c.Int("row-groups")
		if derived.RowGroups < 1 {
			return config, badFlag("row-groups", fmt.Errorf("%d, want 1 or more", derived.RowGroups))
		}
	case derived.RowGroups > 0 && (rows[0]%derived.RowGroups != 0 || rows[1]%derived.RowGroups != 0):
		derived.RowGroups = 1 // the preset's number does not divide these rows
	}
	derived.FFNSize = m.FFNSize()
	if err := config.Validate(); err != nil {
		return config, &usageError{err: err}
	}
	return config, nil
}
