package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `{"vocab_size": 64, "sequence_len": 32, "model": {"emb_size": 24, "key_size": 8, "num_q_heads": 4,
	"num_kv_heads": 2, "num_layers": 3, "num_experts": 5, "num_selected_experts": 2}}`

// Every impossible configuration is refused with a line that names the field and what is wanted.
func TestParseConfigErrors(t *testing.T) {
	if _, err := ParseConfig([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"vocab_size": 64`, `"vocab_sise": 64`, `unknown key "vocab_sise": did you mean "vocab_size"?`},
		{`"vocab_size": 64`, `"zzz": 64`, `unknown key "zzz"`},
		{`"vocab_size": 64`, `"vocab_size": "64"`, `vocab_size`},
		{`"vocab_size": 64`, `"vocab_size": 0`, `vocab_size is 0, want 1 to`},
		{`"sequence_len": 32`, `"sequence_len": -1`, `sequence_len is -1`},
		{`"emb_size": 24`, `"emb_size": 99999999`, `model.emb_size is 99999999, want 1 to`},
		{`"key_size": 8`, `"key_size": 7`, `an even number`},
		{`"num_kv_heads": 2`, `"num_kv_heads": 3`, `multiple of num_kv_heads 3`},
		{`"num_selected_experts": 2`, `"num_selected_experts": 6`, `num_selected_experts is 6, want 1 to 5`},
		{`"num_layers": 3`, `"num_layers": 99999`, `num_layers`},
		{`"vocab_size": 64`, `"vocab_size": 64, "eos_token": 64`, `eos_token is 64, want 0 to 63`},
		{`"vocab_size": 64`, `"vocab_size": 64, "pad_sizes": [8, 8]`, `pad_sizes`},
		{`"vocab_size": 64`, `"vocab_size": 64, "pad_sizes": [64]`, `pad_sizes`},
		{`"vocab_size": 64`, `"vocab_size": 64, "local_mesh_config": [1]`, `local_mesh_config`},
		{`"vocab_size": 64`, `"vocab_size": 64, "output_multiplier_scale": 0`, `output_multiplier_scale is 0`},
		{`"vocab_size": 64`, `"vocab_size": 64, "derived": {"ffn_size": 40}`, `derived.ffn_size is 40, want 64`},
		{`"vocab_size": 64`, `"vocab_size": 64, "derived": {"quantised": "int4"}`, `derived.quantised`},
		{`"vocab_size": 64`, `"vocab_size": 64, "derived": {"row_groups": 7}`, `derived.row_groups`},
		{`"emb_size": 24`, `"emb_size": 24, "widening_factor": 1e300`, `widening_factor`},
		{`"sequence_len": 32`, `"sequence_len": 16777216`, ``},
		{`"sequence_len": 32, "model": {"emb_size": 24, "key_size": 8`, `"sequence_len": 16777216, "model": {"emb_size": 24, "key_size": 1024`, `rotary angles`},
		{`}}`, `}} {}`, `more than one JSON value`},
		{`{"vocab`, `["vocab`, `config.json`},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%q does not occur", c.from)
		}
		_, err := ParseConfig([]byte(text))
		if c.want == "" { // large, but possible
			if err != nil {
				t.Errorf("%s: %v", c.to, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.to, err, c.want)
		}
	}
}

// The width of experts follows the reference's formula; each recorded checkpoint states its own.
func TestFFNSize(t *testing.T) {
	configs, err := filepath.Glob("../internal/golden/testdata/grok1/*/config.json")
	if err != nil || len(configs) < 7 {
		t.Fatalf("%d configurations, %v", len(configs), err)
	}
	for _, path := range configs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ParseConfig(raw); err != nil || c.Model.FFNSize() != c.Derived.FFNSize {
			t.Errorf("%s: width %d, %v", path, c.Model.FFNSize(), err)
		}
	}
	grok, err := FindPreset("grok-1")
	if err != nil || grok.Config.Model.FFNSize() != 32768 {
		t.Errorf("grok-1: width %d, want 32768 (%v)", grok.Config.Model.FFNSize(), err)
	}
}

func TestPresets(t *testing.T) {
	for _, p := range Presets {
		if err := p.Config.Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		raw, err := json.Marshal(p.Config)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseConfig(raw)
		if err != nil {
			t.Errorf("%s: written and read again: %v", p.Name, err)
		}
		if a, b := len(Tensors(again)), 2+12*p.Config.Model.NumLayers; a != b {
			t.Errorf("%s: %d tensors, want %d", p.Name, a, b)
		}
	}
	if _, err := FindPreset("grok-9"); err == nil || !strings.Contains(err.Error(), "bench-memory") {
		t.Errorf("error %v, want one that lists the presets", err)
	}
}

// Files lie in string order of the layer number.
func TestTensorOrder(t *testing.T) {
	grok, err := FindPreset("grok-1")
	if err != nil {
		t.Fatal(err)
	}
	list := Tensors(grok.Config)
	for file, want := range map[int]string{
		0: Embedding, 1: lastNorm,
		2: "transformer/decoder_layer_0/moe/linear/w", 26: "transformer/decoder_layer_10/moe/linear/w",
		146: "transformer/decoder_layer_2/moe/linear/w", 769: "transformer/decoder_layer_9/router/w",
	} {
		if list[file].Name != want {
			t.Errorf("file %d: %s, want %s", file, list[file].Name, want)
		}
	}
}

// A plan writes no buffer that the same segment has read from the segment before: it can be run again (M1).
func TestSegmentsCanRunAgain(t *testing.T) {
	demo, err := FindPreset("demo")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlan(demo.Config)
	for l := range demo.Config.Model.NumLayers - 1 {
		written, read := map[int]bool{}, map[int]bool{}
		for _, s := range append(p.After(l), p.Before(l+1)...) {
			for _, in := range s.In {
				if !written[int(in)] {
					read[int(in)] = true
				}
			}
			for _, out := range s.Out {
				if read[int(out)] {
					t.Errorf("layer %d: %v overwrites %s, which the segment was given", l, s.Op, p.Slots[out].Name)
				}
				written[int(out)] = true
			}
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		if len(Tensors(c)) != 2+12*c.Model.NumLayers {
			t.Error("tensors")
		}
	})
}
