package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Config is the reference's LanguageModelConfig with its TransformerConfig under Model, and the fields
// of its runners that describe a checkpoint (pad sizes, meshes).
type Config struct {
	Model                    TransformerConfig `json:"model"`
	VocabSize                int               `json:"vocab_size"`
	PadToken                 int               `json:"pad_token"`
	EOSToken                 int               `json:"eos_token"`
	SequenceLen              int               `json:"sequence_len"` // longest prompt plus continuation, tokens
	EmbeddingInitScale       float64           `json:"embedding_init_scale,omitempty"`
	EmbeddingMultiplierScale float64           `json:"embedding_multiplier_scale"`
	OutputMultiplierScale    float64           `json:"output_multiplier_scale"`
	FpropDtype               string            `json:"fprop_dtype,omitempty"` // of the reference's run; --arith decides here
	PadSizes                 []int             `json:"pad_sizes,omitempty"`   // the reference's prompt buckets
	LocalMesh                []int             `json:"local_mesh_config,omitempty"`
	BetweenHosts             []int             `json:"between_hosts_config,omitempty"`
	Derived                  *Derived          `json:"derived,omitempty"`

	Name            string `json:"name,omitempty"`
	ModelSize       int    `json:"model_size,omitempty"`
	ShardEmbeddings *bool  `json:"shard_embeddings,omitempty"`
}

// TransformerConfig has the field names of the reference.
type TransformerConfig struct {
	EmbSize              int     `json:"emb_size"`
	WideningFactor       float64 `json:"widening_factor"`
	KeySize              int     `json:"key_size"`
	NumQHeads            int     `json:"num_q_heads"`
	NumKVHeads           int     `json:"num_kv_heads"`
	NumLayers            int     `json:"num_layers"`
	AttnOutputMultiplier float64 `json:"attn_output_multiplier"` // of the attention logits, before the cap
	NumExperts           int     `json:"num_experts"`
	NumSelectedExperts   int     `json:"num_selected_experts"`
	CapacityFactor       float64 `json:"capacity_factor,omitempty"`
	InitScale            float64 `json:"init_scale,omitempty"`
	ShardActivations     *bool   `json:"shard_activations,omitempty"`
	DataAxis             any     `json:"data_axis,omitempty"`
	ModelAxis            any     `json:"model_axis,omitempty"`
	Name                 string  `json:"name,omitempty"`
	VocabSize            int     `json:"vocab_size,omitempty"`
}

// Derived holds what follows from a configuration or from the way a checkpoint was made; it is optional
// and checked when present.
type Derived struct {
	FFNSize   int    `json:"ffn_size"`
	Quantised string `json:"quantised"`  // which matrices are int8: "int8" (all), "experts", "attention", "none"
	RowGroups int    `json:"row_groups"` // scale groups of attention output and down matrices
}

// ParseConfig reads a config.json: unknown keys, wrong types and impossible values are errors.
func ParseConfig(raw []byte) (Config, error) {
	c := Config{EmbeddingMultiplierScale: 1, OutputMultiplierScale: 1, EOSToken: 2}
	c.Model.WideningFactor, c.Model.AttnOutputMultiplier = 4, 1
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("model: config.json: %w", explain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("model: config.json: more than one JSON value")
	}
	if err := c.Validate(); err != nil {
		return c, err
	}
	return c, nil
}

// explain adds the known key that an unknown one resembles most.
func explain(err error) error {
	name, ok := strings.CutPrefix(err.Error(), "json: unknown field ")
	if !ok {
		return err
	}
	name = strings.Trim(name, `"`)
	if near := Nearest(name, configKeys()); near != "" {
		return fmt.Errorf("unknown key %q: did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown key %q", name)
}

func configKeys() []string {
	raw, _ := json.Marshal(Config{Derived: &Derived{}})
	var keys []string
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.Token()
		if err != nil {
			return append(keys, "pad_sizes", "fprop_dtype", "local_mesh_config", "between_hosts_config")
		}
		if s, ok := t.(string); ok && s != "" {
			keys = append(keys, s)
		}
	}
}

// FFNSize is the width of an expert: two thirds of widening_factor * emb_size, rounded up to a multiple
// of 8 (the reference's ffn_size).
func (t TransformerConfig) FFNSize() int {
	n := int(t.WideningFactor*float64(t.EmbSize)) * 2 / 3
	return (n + 7) / 8 * 8
}

// The constants that the reference does not put in its configuration.
const (
	normEps  = 1e-5
	ropeBase = 10000
	logitCap = 30
)
