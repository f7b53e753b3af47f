package model

import (
	"fmt"
	"slices"
	"strconv"

	"troupe/kernels"
	"troupe/tensor"
)

// Grok-1 (xai-org/grok-1, model.py): decoder layers of grouped-query attention and a mixture of
// experts, each between two RMSNorms ("sandwich"), tied embedding, no biases.
//
// These are the buffers of its plan. Mid alternates between two by layer, so that a segment (the end of one layer and
// the beginning of the next) never overwrites what it reads and can be run again.
const (
	hidden kernels.Slot = iota
	midEven
	midOdd
	attnIn
	query
	key
	value
	queryRot
	keyRot
	attnMix
	attnOut
	attnNorm
	moeIn
	probs
	parts
	moeOut
	moeNorm
	finalNorm
	logits
)

func grok1Slots(c Config) []SlotSpec {
	m := c.Model
	d, q, kv := m.EmbSize, m.NumQHeads*m.KeySize, m.NumKVHeads*m.KeySize
	return []SlotSpec{
		hidden: {"hidden", d, PerRow}, midEven: {"mid", d, PerRow}, midOdd: {"mid", d, PerRow},
		attnIn: {"attn_in", d, PerRow}, query: {"q_raw", q, PerRow}, key: {"k_raw", kv, PerRow}, value: {"v", kv, PerRow},
		queryRot: {"q", q, PerRow}, keyRot: {"k", kv, PerRow}, attnMix: {"attn_mix", q, PerRow},
		attnOut: {"attn_out", d, PerRow}, attnNorm: {"attn_norm", d, PerRow},
		moeIn: {"moe_in", d, PerRow}, probs: {"router_probs", m.NumExperts, PerRow}, parts: {"parts", d, PerPair},
		moeOut: {"moe_out", d, PerRow}, moeNorm: {"moe_norm", d, PerRow},
		finalNorm: {"final_norm", d, PerRow}, logits: {"logits", c.VocabSize, PerDraw},
	}
}

// Embedding is the name of the token embedding, which is the head as well.
const Embedding = "language_model/in_out_embed/embeddings"

const lastNorm = "language_model/rms_norm/scale"

// layerName is a parameter of a layer: JAX's flattened Haiku path.
func layerName(layer int, param string) string {
	return fmt.Sprintf("transformer/decoder_layer_%d/%s", layer, param)
}

func grok1Plan(c Config) Plan {
	m := c.Model
	norm := kernels.Params{Eps: normEps}
	heads := kernels.Params{Multiplier: float32(m.AttnOutputMultiplier), Cap: logitCap,
		Heads: m.NumQHeads, KVHeads: m.NumKVHeads, KeySize: m.KeySize}
	rotary := heads
	rotary.Rope = kernels.NewRope(ropeBase, m.KeySize, c.SequenceLen)
	s := func(slots ...kernels.Slot) []kernels.Slot { return slots }
	mid := func(layer int) kernels.Slot {
		if layer%2 == 0 {
			return midEven
		}
		return midOdd
	}
	return Plan{
		Slots: grok1Slots(c), Hidden: hidden, Probs: probs, Parts: parts, Logits: logits, ExpertInput: moeIn,
		Embed: []Step{
			{kernels.Embed, nil, s(hidden), []string{Embedding}, kernels.Params{Multiplier: float32(c.EmbeddingMultiplierScale)}},
		},
		Before: func(l int) []Step {
			w := func(params ...string) []string {
				for i, p := range params {
					params[i] = layerName(l, p)
				}
				return params
			}
			return []Step{
				{kernels.RMSNorm, s(hidden), s(attnIn), w("rms_norm/scale"), norm},
				{kernels.Linear, s(attnIn), s(query, key, value), w("multi_head_attention/query/w", "multi_head_attention/key/w", "multi_head_attention/value/w"), kernels.Params{}},
				{kernels.RoPE, s(query, key), s(queryRot, keyRot), nil, rotary},
				{kernels.Attend, s(queryRot, keyRot, value), s(attnMix), nil, heads},
				{kernels.Linear, s(attnMix), s(attnOut), w("multi_head_attention/linear/w"), kernels.Params{}},
				{kernels.RMSNorm, s(attnOut), s(attnNorm), w("rms_norm_1/scale"), norm},
				{kernels.Add, s(hidden, attnNorm), s(mid(l)), nil, kernels.Params{}},
				{kernels.RMSNorm, s(mid(l)), s(moeIn), w("rms_norm_2/scale"), norm},
				{kernels.Route, s(moeIn), s(probs), w("router/w"), kernels.Params{}},
			}
		},
		Expert: func(l int) Step {
			// gate, up, down; xAI calls them linear, linear_v, linear_1.
			return Step{kernels.Expert, s(moeIn), s(parts),
				[]string{layerName(l, "moe/linear/w"), layerName(l, "moe/linear_v/w"), layerName(l, "moe/linear_1/w")}, kernels.Params{}}
		},
		After: func(l int) []Step {
			return []Step{
				{kernels.Combine, s(parts), s(moeOut), nil, kernels.Params{}},
				{kernels.RMSNorm, s(moeOut), s(moeNorm), []string{layerName(l, "rms_norm_3/scale")}, norm},
				{kernels.Add, s(mid(l), moeNorm), s(hidden), nil, kernels.Params{}},
			}
		},
		Head: []Step{
			{kernels.RMSNorm, s(hidden), s(finalNorm), []string{lastNorm}, norm},
			{kernels.Head, s(finalNorm), s(logits), []string{Embedding}, kernels.Params{Multiplier: float32(c.OutputMultiplierScale)}},
		},
	}
}

// grok1Tensors lists the files of a checkpoint: embedding, last norm, then twelve files a layer. JAX
// flattens dictionaries by sorted key, so layers come in string order: 0, 1, 10, 11, …, 19, 2, 20, …
func grok1Tensors(c Config) []Tensor {
	m := c.Model
	d, f, e := m.EmbSize, m.FFNSize(), m.NumExperts
	q, kv := m.NumQHeads*m.KeySize, m.NumKVHeads*m.KeySize
	one := []int{1}
	grouped := rowGroups(c, f, q)
	attnPlain, attnInt8 := storage(c, "attention")
	moePlain, moeInt8 := storage(c, "experts")
	matrix := func(layer int, param string, shape tensor.Shape, plain, int8 bool, groups []int) Tensor {
		t := Tensor{Name: layerName(layer, param), Layer: layer, Shape: shape, Plain: plain, Class: param}
		if int8 {
			t.Int8 = groups
		}
		return t
	}
	vector := func(layer int, param string) Tensor {
		return Tensor{Name: layerName(layer, param), Layer: layer, Shape: tensor.Shape{d}, Plain: true}
	}
	list := []Tensor{
		{Name: Embedding, Layer: -1, Shape: tensor.Shape{c.VocabSize, d}, Plain: true},
		{Name: lastNorm, Layer: -1, Shape: tensor.Shape{d}, Plain: true},
	}
	for _, l := range stringOrder(m.NumLayers) {
		list = append(list,
			matrix(l, "moe/linear/w", tensor.Shape{e, d, f}, moePlain, moeInt8, one),
			matrix(l, "moe/linear_1/w", tensor.Shape{e, f, d}, moePlain, moeInt8, grouped),
			matrix(l, "moe/linear_v/w", tensor.Shape{e, d, f}, moePlain, moeInt8, one),
			matrix(l, "multi_head_attention/key/w", tensor.Shape{d, kv}, attnPlain, attnInt8, one),
			matrix(l, "multi_head_attention/linear/w", tensor.Shape{q, d}, attnPlain, attnInt8, grouped),
			matrix(l, "multi_head_attention/query/w", tensor.Shape{d, q}, attnPlain, attnInt8, one),
			matrix(l, "multi_head_attention/value/w", tensor.Shape{d, kv}, attnPlain, attnInt8, one),
			vector(l, "rms_norm/scale"), vector(l, "rms_norm_1/scale"), vector(l, "rms_norm_2/scale"), vector(l, "rms_norm_3/scale"),
			Tensor{Name: layerName(l, "router/w"), Layer: l, Shape: tensor.Shape{d, e}, Plain: true},
		)
	}
	return list
}

// rowGroups lists the scale-group counts that attention output and down matrices may have: what
// derived.row_groups says, else 1 or 8 (the published files have 8, one per device of the machine that
// quantised them).
func rowGroups(c Config, ffn, q int) []int {
	if c.Derived != nil && c.Derived.RowGroups > 0 {
		return []int{c.Derived.RowGroups}
	}
	if ffn%8 == 0 && q%8 == 0 {
		return []int{1, 8}
	}
	return []int{1}
}

// storage says how the matrices of a part (experts, attention) may be stored.
func storage(c Config, part string) (plain, int8 bool) {
	if c.Derived == nil || c.Derived.Quantised == "" {
		return true, true
	}
	int8 = c.Derived.Quantised == "int8" || c.Derived.Quantised == part
	return !int8, int8
}

// stringOrder lists layer numbers 0 to n-1 as their decimal strings sort.
func stringOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if strconv.Itoa(a) < strconv.Itoa(b) {
			return -1
		}
		return 1
	})
	return order
}
