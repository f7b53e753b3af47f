package model

import (
	"errors"
	"fmt"
	"math"
)

// Bounds of a plausible configuration: they keep hostile files from sizing anything by themselves.
const (
	maxDim    = 1 << 24
	maxLayers = 1 << 12
	maxParams = 1 << 43
	maxAngles = 1 << 28
)

// Validate says what is wrong with a configuration: every fault, one line each.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("model: config: "+format, args...)) }
	within := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			bad("%s is %d, want %d to %d", name, v, lo, hi)
		}
	}
	m := c.Model
	within("vocab_size", c.VocabSize, 1, maxDim)
	within("sequence_len", c.SequenceLen, 1, maxDim)
	within("model.emb_size", m.EmbSize, 1, maxDim)
	within("model.key_size", m.KeySize, 2, 1<<16)
	within("model.num_q_heads", m.NumQHeads, 1, 1<<16)
	within("model.num_kv_heads", m.NumKVHeads, 1, 1<<16)
	within("model.num_layers", m.NumLayers, 1, maxLayers)
	within("model.num_experts", m.NumExperts, 1, 1<<12)
	if m.NumExperts >= 1 {
		within("model.num_selected_experts", m.NumSelectedExperts, 1, m.NumExperts)
	}
	if m.KeySize%2 != 0 {
		bad("model.key_size is %d, want an even number: RoPE rotates halves", m.KeySize)
	}
	if m.KeySize > 0 && c.SequenceLen > maxAngles/m.KeySize {
		bad("sequence_len %d times model.key_size %d is more than %d: the table of rotary angles would not fit", c.SequenceLen, m.KeySize, maxAngles)
	}
	if m.NumKVHeads > 0 && m.NumQHeads%m.NumKVHeads != 0 {
		bad("model.num_q_heads is %d, want a multiple of num_kv_heads %d: query heads share key heads in equal runs", m.NumQHeads, m.NumKVHeads)
	}
	positive := func(name string, v float64) {
		if !(v > 0) || v > 1e6 {
			bad("%s is %v, want a number above 0 and at most 1e6", name, v)
		}
	}
	positive("model.widening_factor", m.WideningFactor)
	positive("model.attn_output_multiplier", m.AttnOutputMultiplier)
	positive("embedding_multiplier_scale", c.EmbeddingMultiplierScale)
	positive("output_multiplier_scale", c.OutputMultiplierScale)
	if c.VocabSize > 0 {
		within("pad_token", c.PadToken, 0, c.VocabSize-1)
		within("eos_token", c.EOSToken, 0, c.VocabSize-1)
	}
	if m.VocabSize != 0 && m.VocabSize != c.VocabSize {
		bad("model.vocab_size is %d, want vocab_size %d", m.VocabSize, c.VocabSize)
	}
	for i, n := range c.PadSizes {
		if n < 1 || n > c.SequenceLen || i > 0 && n <= c.PadSizes[i-1] {
			bad("pad_sizes is %v, want ascending sizes from 1 to sequence_len %d", c.PadSizes, c.SequenceLen)
			break
		}
	}
	for name, mesh := range map[string][]int{"local_mesh_config": c.LocalMesh, "between_hosts_config": c.BetweenHosts} {
		if mesh != nil && (len(mesh) != 2 || mesh[0] < 1 || mesh[1] < 1) {
			bad("%s is %v, want [data, model], both at least 1", name, mesh)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	ffn := m.FFNSize()
	if ffn < 8 || ffn > maxDim {
		bad("model.widening_factor %v gives experts of width %d, want 8 to %d", m.WideningFactor, ffn, maxDim)
	} else if n := c.approxParams(); n > maxParams {
		bad("%.3g parameters, want at most %.3g", n, float64(maxParams))
	}
	errs = append(errs, c.checkDerived(ffn)...)
	return errors.Join(errs...)
}

func (c Config) approxParams() float64 {
	m := c.Model
	d := float64(m.EmbSize)
	layer := 3*d*float64(m.FFNSize())*float64(m.NumExperts) + 2*d*float64(m.KeySize)*float64(m.NumQHeads+m.NumKVHeads)
	return layer*float64(m.NumLayers) + d*float64(c.VocabSize)
}

func (c Config) checkDerived(ffn int) (errs []error) {
	d := c.Derived
	if d == nil {
		return nil
	}
	if d.FFNSize != 0 && d.FFNSize != ffn {
		errs = append(errs, fmt.Errorf("model: config: derived.ffn_size is %d, want %d from emb_size and widening_factor", d.FFNSize, ffn))
	}
	switch d.Quantised {
	case "", "int8", "experts", "attention", "none":
	default:
		errs = append(errs, fmt.Errorf("model: config: derived.quantised is %q, want int8, experts, attention or none", d.Quantised))
	}
	if g := d.RowGroups; g < 0 || g > 0 && (ffn%g != 0 || c.Model.NumQHeads*c.Model.KeySize%g != 0) {
		errs = append(errs, fmt.Errorf("model: config: derived.row_groups is %d, want a divisor of the ffn width %d and of num_q_heads*key_size %d",
			g, ffn, c.Model.NumQHeads*c.Model.KeySize))
	}
	return errs
}

// Nearest is the candidate that differs from name by the fewest edits, or "" when none resembles it.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", math.MaxInt
	for _, c := range candidates {
		if d := editDistance(name, c); d < bestDistance && d <= max(2, len(name)/3) {
			best, bestDistance = c, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
