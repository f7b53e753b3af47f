package observe

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/actors"
	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

// layout is a way of arranging the toy's layers.
type layout struct{ stages, rows, batches int }

var plain = layout{1, 64, 1}

func engine(t *testing.T, o *Observer, w stages.Weights, l layout) *actors.Engine {
	t.Helper()
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	placement, err := place.Make(toy.Config(), []place.Device{{Name: "cpu", Threads: 1}, {Name: "cpu", Threads: 1}}[:min(l.stages, 2)], place.Options{Stages: l.stages})
	if err != nil {
		t.Fatal(err)
	}
	e, err := actors.Start(context.Background(), actors.Options{Model: toy.Config(), Weights: w, Arith: kernels.Exact, Binding: binding,
		Placement: placement, Look: o.Look,
		Sched: sched.Config{Batches: l.batches, Rows: l.rows, Draws: l.rows, Sequences: 4, Queue: 4, Blocks: 40}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

func texts() [][]int32 {
	list := make([][]int32, 3)
	for d, n := range []int{23, 1, 40} {
		for i := range n {
			list[d] = append(list[d], int32(3+(d*31+i*i*7+i*13)%60))
		}
	}
	return list
}

func ignore(int, *Token) {}

// tell is a token as a line.
func tell(t *Token) string {
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	for rank := range t.Ranked {
		for _, v := range t.Output(rank) {
			fmt.Fprint(sum, math.Float32bits(v))
		}
	}
	return fmt.Sprint(t.Document, t.Position, t.Chosen, t.Ranked, t.Gate, t.Probs, sum.Sum64())
}

// Every layout sees the same tokens in the same order, which are those that a plain loop computes.
func TestRunSeesWhatALoopComputes(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 3)
	want := byLoop(t, w)
	for _, l := range []layout{plain, {3, 64, 1}, {3, 7, 4}, {2, 1, 3}} {
		got := make([][]string, 3)
		o := New(toy.Config())
		take := func(layer int, t *Token) { got[layer] = append(got[layer], tell(t)) }
		var last int64
		if err := o.Run(context.Background(), engine(t, o, w, l), router.Uniform(2), texts(), take, func(done int64) { last = done }); err != nil {
			t.Fatal(err)
		}
		if last != 22+39 {
			t.Errorf("%+v: %d tokens reported, want 61", l, last)
		}
		for layer := range got {
			if !slices.Equal(got[layer], want[layer]) {
				t.Errorf("%+v: layer %d: %d tokens differ from the loop's %d", l, layer, len(got[layer]), len(want[layer]))
			}
		}
	}
}

// byLoop computes the same with all parts read from the inputs of op combine.
func byLoop(t *testing.T, w stages.Weights) [][]string {
	t.Helper()
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	lines, document := make([][]string, 3), 0
	var ranked []int32
	var probs []float32
	tap := func(layer int, op kernels.Op, out []kernels.Slot, f *kernels.Frame) {
		if op == kernels.Route {
			probs = slices.Clone(f.Bufs[out[0]])
		}
		if op != kernels.Combine {
			return
		}
		parts := f.Bufs[out[0]-1] // of the plan: parts, moe_out
		for i := range f.Rows.N {
			tok := Token{Document: document, Position: i, Probs: probs[i*5 : i*5+5], Chosen: 2, Ranked: ranked[i*5 : i*5+5],
				Gate: f.Pairs.Gate[i*5 : i*5+5], Outputs: parts[i*5*24 : (i+1)*5*24]}
			lines[layer] = append(lines[layer], tell(&tok))
		}
	}
	l, err := solo.New(solo.Options{Config: toy.Config(), Weights: w, Arith: kernels.Exact, Binding: binding, Threads: 1, Tap: tap})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Policy = router.Uniform(2).Observed()
	l.Routed = func(_ int, b *stages.Batch) { ranked = slices.Clone(b.Routing.Expert) }
	for d, ids := range texts() {
		if document = d; len(ids) < 2 {
			continue
		}
		if _, err := l.Loss(ids); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// What runs on the engine behind a run is not looked at, and another run sees what the first did.
func TestRunsAreApart(t *testing.T) {
	o := New(toy.Config())
	e := engine(t, o, toy.Weights(toy.Config(), toy.Int8, 3), plain)
	var seen []string
	run := func() []string {
		seen = nil
		if err := o.Run(t.Context(), e, router.Uniform(2), texts(), func(layer int, tok *Token) { seen = append(seen, fmt.Sprint(layer, tell(tok))) }, nil); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(seen)
	}
	first := run()
	stream, err := e.Submit(t.Context(), sched.Request{Prompt: texts()[0], Policy: router.Uniform(5), EOS: -1, Mode: sched.Score})
	if err != nil {
		t.Fatal(err)
	}
	for range stream.Events() {
	}
	if len(seen) != len(first) {
		t.Errorf("%d tokens seen of another request", len(seen)-len(first))
	}
	if again := run(); !slices.Equal(first, again) {
		t.Errorf("%d tokens, then %d: not the same", len(first), len(again))
	}
}

func TestRunStops(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Float32, 3)
	o := New(toy.Config())
	e := engine(t, o, w, plain)
	ctx, cancel := context.WithCancel(context.Background())
	err := o.Run(ctx, e, router.Uniform(2), texts(), ignore, func(int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a cancelled context", err)
	}
	swapped, err := router.Parse("2+replace:1>2", router.Sizes{Layers: 3, Experts: 5, Selected: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Run(context.Background(), e, swapped, texts(), ignore, nil); err == nil || !strings.Contains(err.Error(), "replace") {
		t.Errorf("%v, want a refusal of replaced experts", err)
	}
}

func TestRunRefusesWhatIsNotFinite(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Float32, 3)
	w["transformer/decoder_layer_1/moe/linear_1/w"][4].F[0] = float32(math.Inf(1))
	o := New(toy.Config())
	err := o.Run(context.Background(), engine(t, o, w, plain), router.Uniform(2), texts(), ignore, nil)
	if err == nil || !strings.Contains(err.Error(), "document 0") {
		t.Errorf("%v, want an error of document 0", err)
	}
}

// Random inputs have the sizes that norms give, the router's softmax and the experts' outputs: the same by seed.
func TestNoise(t *testing.T) {
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	run := func(tokens int, seed uint64) (lines []string) {
		n := Noise{Config: toy.Config(), Weights: toy.Weights(toy.Config(), toy.Int8, 3), Arith: kernels.Exact, Binding: binding, Threads: 1, Tokens: tokens, Seed: seed}
		err := n.Run(t.Context(), func(layer int, tok *Token) {
			sum := float32(0)
			for _, p := range tok.Probs {
				sum += p
			}
			if math.Abs(float64(sum)-1) > 1e-6 || tok.Chosen != 2 || tok.Probs[tok.Ranked[0]] < tok.Probs[tok.Ranked[4]] {
				t.Errorf("layer %d: probabilities %v, ranked %v, %d chosen", layer, tok.Probs, tok.Ranked, tok.Chosen)
			}
			lines = append(lines, fmt.Sprint(layer, tell(tok)))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	first := run(70, 1)
	if len(first) != 3*70 || !slices.Equal(first, run(70, 1)) || slices.Equal(first, run(70, 2)) {
		t.Errorf("%d tokens, want 210, the same by seed and others by another", len(first))
	}
	seen := map[string]bool{}
	for _, line := range first {
		seen[strings.SplitN(line, " ", 4)[3]] = true
	}
	if len(seen) < 200 {
		t.Errorf("%d tokens differ, want nearly all of 210", len(seen))
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := Noise{Config: toy.Config(), Weights: toy.Weights(toy.Config(), toy.Int8, 3), Binding: binding, Threads: 1, Tokens: 500}
	if err := n.Run(ctx, ignore, func(int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a cancelled context", err)
	}
}
