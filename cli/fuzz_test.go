package main

import (
	"bytes"
	"strings"
	"testing"

	"troupe/model"
	"troupe/router"
	"troupe/stages/sample"
	"troupe/surgery"
)

// FuzzPrompts has files of requests that are anything: what is accepted can be run.
func FuzzPrompts(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","prompt":"Tale:","max_tokens":3,"stop":["x"],"experts":2}`, `{"tokens":[1,2],"experts":"0-2:1,3-5:4","seed":18446744073709551615}`,
		"{}\n\n[", `{"prompt":"x","stop":"y","sampler":"jax-f32","top_p":0.5,"ignore_eos":true}`, `{"id":null,"prompt":""}`, "\ufeff{\"prompt\":\"\\ud800\"}", `{"id":1e400,"prompt":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	preset, err := model.FindPreset("demo")
	if err != nil {
		f.Fatal(err)
	}
	defaults := sampling{params: sample.Defaults(), policy: router.Uniform(2)}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parsePrompts(bytes.NewReader(data), defaults, preset.Config)
		if err != nil {
			if len(list) > 0 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d requests with error %q", len(list), err)
			}
			return
		}
		g := &generator{config: preset.Config}
		for _, p := range list {
			if (p.text == nil) == (p.ids == nil) && (p.text != nil || len(p.ids) > 0) || p.maxTokens < 0 || p.params.Validate() != nil || p.policy.Fits(router.Sizes{Layers: 6, Experts: 8, Selected: 2}) != nil {
				t.Errorf("%+v", p)
			}
			if err := writeJSON(&bytes.Buffer{}, g.prepare(p).failed(errInterrupted)); err != nil {
				t.Errorf("id %s: %v", p.id, err)
			}
		}
	})
}

// FuzzSettings has settings files that are anything.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{"max-tokens: 3\nstop: [a, \"b\"]\n", "seed: &a 1\nquiet: *a\n", "---\n---\n", "? x\n: y\n", "stop: |\n  a\n  b\n", "{seed: 1}", "<<: {a: 1}"} {
		f.Add([]byte(seed))
	}
	known := allFlagNames(newProgram(&interrupts{}, nil, nil, nil).app())
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &settings{file: "x"}
		if err := s.parse(data, known); err != nil {
			return
		}
		for _, e := range s.entries {
			if e.line < 1 || len(e.key) < 2 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// FuzzSwap has specifications of swaps that are anything: what is accepted names a binding.
func FuzzSwap(f *testing.F) {
	for _, seed := range []string{"token=20 expert=plugin:mine shadow=4", "token=0 a, b", "shadow=0 token=18446744073709551615 x", "token= =", "token=1\u00a0ref"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := parseSwap(spec)
		if err == nil && (strings.TrimSpace(s.text) == "" || s.shadow < -1 || s.shadow > maxShadow || s.token > 1<<63-1) {
			t.Errorf("%q: %+v", spec, s)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%q: %v", spec, err)
		}
	})
}

// FuzzExpertLists has lists of experts that are anything: what is accepted fits the model.
func FuzzExpertLists(f *testing.F) {
	for _, seed := range []string{"5", "0,2,3;layers 0-2: 1", "layer 4:1;2", "1+4,2+5", "1*0.7+4*.3", ";", "0-5:", "a:b:c", "-1", "0-99999999999999999999:1"} {
		f.Add(seed)
	}
	s := router.Sizes{Layers: 6, Experts: 8, Selected: 2}
	f.Fuzz(func(t *testing.T, text string) {
		lists, err := expertLists(text, s, false)
		if err == nil && len(lists) != s.Layers {
			t.Errorf("%q: %d layers", text, len(lists))
		}
		for _, list := range lists {
			for _, e := range list {
				if err == nil && (e < 0 || e >= s.Experts || len(list) == 0) {
					t.Errorf("%q: %v", text, lists)
				}
			}
		}
		if groups, err := expertGroups(text, s); err == nil {
			if o, err := surgery.Average(s, groups, false); err == nil && (o.Check() != nil || o.NumExperts() >= s.Experts) {
				t.Errorf("%q: %d experts, %v", text, o.NumExperts(), o.Check())
			}
		}
	})
}
