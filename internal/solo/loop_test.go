package solo

import (
	"slices"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/stages"
	"troupe/stages/sample"
)

// A row alone has the bits of a row in a prompt: decoding token by token ends where prefill does.
func TestLoopDecodesAsItPrefills(t *testing.T) {
	prompt := []int32{5, 17, 3, 60, 17, 5}
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference} {
		w := toy.Weights(toy.Config(), toy.Int8, 1)
		var tokens []int32
		l := loop(t, w, arith)
		greedy := sample.Params{TopP: 1}
		if err := l.Generate(prompt, 20, greedy, func(d stages.Drawn) { tokens = append(tokens, d.Token) }); err != nil {
			t.Fatal(err)
		}
		all, err := loop(t, w, arith).Prefill(append(slices.Clone(prompt), tokens...), 0)
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
	l, err := New(Options{Config: toy.Config(), Weights: w, Arith: arith, Binding: ref, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
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
