package toy

import (
	"slices"
	"testing"

	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

func TestWeightsFitTheConfiguration(t *testing.T) {
	c := Config()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, storage := range []Storage{Int8, Float32} {
		quantised := 0
		for name, list := range Weights(c, storage, 1) {
			for _, w := range list {
				if err := w.Check(); err != nil {
					t.Errorf("%s: %s: %v", storage, name, err)
				}
				if w.Quantised() {
					quantised++
				}
			}
		}
		if (storage == Int8) != (quantised > 0) {
			t.Errorf("%s: %d quantised weights", storage, quantised)
		}
	}
}

// A row alone has the bits of a row in a prompt: decoding token by token ends where prefill does.
func TestLoopDecodesAsItPrefills(t *testing.T) {
	c := Config()
	prompt := []int32{5, 17, 3, 60, 17, 5}
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference} {
		w := Weights(c, Int8, 1)
		var tokens []int32
		policy := router.Uniform(c.Model.NumSelectedExperts)
		l := loop(t, w, arith)
		greedy := sample.Params{TopP: 1}
		if err := l.Generate(prompt, 20, greedy, policy, func(d stages.Drawn) { tokens = append(tokens, d.Token) }); err != nil {
			t.Fatal(err)
		}
		all, err := loop(t, w, arith).Logits(append(slices.Clone(prompt), tokens...), policy)
		if err != nil {
			t.Fatal(err)
		}
		for i, token := range tokens {
			if got := argmax(all[len(prompt)-1+i]); got != token {
				t.Errorf("%v: token %d is %d, want %d as prefill has it", arith, i, token, got)
			}
		}
		slices.Sort(tokens)
		if len(slices.Compact(tokens)) < 5 {
			t.Errorf("%v: the toy says only %v: too dull for a test", arith, tokens)
		}
	}
}

func loop(t *testing.T, w stages.Weights, arith kernels.Arith) *Loop {
	t.Helper()
	ref, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLoop(Config(), w, arith, ref, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func argmax(v []float32) int32 {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return int32(best)
}
