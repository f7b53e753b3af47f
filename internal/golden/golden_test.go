package golden

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"testing"

	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/internal/npy"
	"troupe/internal/solo"
	"troupe/kernels"
	_ "troupe/kernels/cpu"
	_ "troupe/kernels/ref"
	"troupe/model"
	"troupe/stages"
)

// forEach runs f on every case and every library in this program.
func forEach(t *testing.T, f func(t *testing.T, c *Case, m *load.Model, library string)) {
	t.Helper()
	cases, err := Cases("testdata/grok1")
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		m, err := openDir(t.Context(), os.DirFS(c.Dir))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		for _, v := range kernels.Variants() {
			if v.Score() > 0 {
				t.Run(c.Name+"/"+v.Name, func(t *testing.T) { f(t, c, m, v.Name) })
			}
		}
	}
}

// openDir opens a model directory with its own configuration.
func openDir(ctx context.Context, dir fs.FS) (*load.Model, error) {
	c, err := load.Config(dir)
	if err != nil {
		return nil, err
	}
	return load.Open(ctx, dir, c, ckpt.Options{})
}

// newLoop makes the plainest engine over a model.
func newLoop(m *load.Model, a kernels.Arith, library string, threads, rows int, tap stages.Tap) (*solo.Loop, error) {
	binding, err := kernels.ParseBinding(library)
	if err != nil {
		return nil, err
	}
	return solo.New(solo.Options{Config: m.Config, Weights: m.Weights, Arith: a, Binding: binding, Threads: threads, Rows: rows, Tap: tap})
}

func open(t *testing.T, m *load.Model, a kernels.Arith, library string, tap stages.Tap) *solo.Loop {
	t.Helper()
	l, err := newLoop(m, a, library, 2, 0, tap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func array(t *testing.T, c *Case, format string, args ...any) *npy.Array {
	t.Helper()
	a, err := c.Array(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// near demands that got differs from want by at most tolerance times want's largest absolute value.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	top, worst, at := 0.0, 0.0, 0
	for i := range want {
		top = max(top, math.Abs(float64(want[i])))
		if d := math.Abs(float64(got[i]) - float64(want[i])); d > worst || d != d {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance*top) {
		t.Errorf("%s: value %d of %d: got %v, want %v: %.2g of the largest value %.3g, want at most %.1g",
			what, at, len(want), got[at], want[at], worst/top, top, tolerance)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The main target: exact against the reference's float32 run, prefill and decode through the cache,
// with router probabilities, the choice and order of experts, and greedy tokens.
func TestExactEqualsF32(t *testing.T) {
	forEach(t, func(t *testing.T, c *Case, m *load.Model, library string) {
		l := open(t, m, kernels.Exact, library, nil)
		plan, experts := model.NewPlan(m.Config), m.Config.Model.NumExperts
		k := m.Config.Model.NumSelectedExperts
		for _, p := range c.Prompts {
			probs, index := array(t, c, "p%d_f32_router_probs", p.ID), array(t, c, "p%d_f32_router_index", p.ID)
			positions := p.Length + 16
			l.Routed = func(layer int, b *stages.Batch) {
				for r := range b.Frame.Rows.N {
					pos := int(b.Frame.Rows.Pos[r])
					at := layer*positions + pos
					want := probs.Float32[at*experts : (at+1)*experts]
					for e, got := range b.Frame.Bufs[plan.Probs][r*experts : (r+1)*experts] {
						if d := math.Abs(float64(got - want[e])); !(d <= 1e-4) {
							t.Errorf("prompt %d layer %d position %d expert %d: probability %v, want %v", p.ID, layer, pos, e, got, want[e])
						}
					}
					got := b.Routing.Expert[b.Routing.Start[r]:b.Routing.Start[r+1]]
					if want := index.Int32[at*k : (at+1)*k]; !slices.Equal(got, want) {
						t.Errorf("prompt %d layer %d position %d: experts %v, want %v", p.ID, layer, pos, got, want)
					}
				}
			}
			tokens, greedy := array(t, c, "p%d_tokens", p.ID).Int32, array(t, c, "p%d_f32_greedy", p.ID).Int32
			logits := must(l.Prefill(tokens, p.Bucket))(t)
			near(t, fmt.Sprintf("prompt %d: prefill logits", p.ID), slices.Concat(logits...), array(t, c, "p%d_f32_logits", p.ID).Float32, 1e-4)
			decode := array(t, c, "p%d_f32_decode_logits", p.ID)
			last, v := logits[len(logits)-1], m.Config.VocabSize
			for s := range 16 {
				if got := argmax(last); got != greedy[s] {
					t.Errorf("prompt %d: greedy token %d: got %d, want %d", p.ID, s, got, greedy[s])
				}
				if greedy[s] == int32(m.Config.PadToken) {
					break // from here on the reference attends to nothing: RATIONALE.md, pad tokens
				}
				last = must(l.Decode(greedy[s], len(tokens)+s, 0))(t)
				near(t, fmt.Sprintf("prompt %d: decode step %d", p.ID, s), last, decode.Float32[s*v:(s+1)*v], 1e-4)
			}
		}
	})
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

// Every intermediate of every layer, before the norms that would hide a constant factor.
func TestTaps(t *testing.T) {
	forEach(t, func(t *testing.T, c *Case, m *load.Model, library string) {
		plan, got := model.NewPlan(m.Config), map[string][]float32{}
		tap := func(layer int, op kernels.Op, out []kernels.Slot, f *kernels.Frame) {
			for _, s := range out {
				name := plan.Slots[s].Name
				if op == kernels.Embed {
					name = "embed"
				}
				got[name] = append(got[name], f.Bufs[s]...)
			}
		}
		l := open(t, m, kernels.Exact, library, tap)
		must(l.Prefill(array(t, c, "p%d_tokens", c.TapPrompt).Int32, 0))(t)
		for _, name := range []string{"embed", "attn_in", "q", "k", "v", "attn_out", "mid", "moe_in", "moe_out", "hidden", "final_norm"} {
			near(t, name, got[name], array(t, c, "tap_%s", name).Float32, 1e-4)
		}
	})
}

// The reference's bfloat16 program, rounded step by step, on prompts without near ties of the router.
func TestReferenceEqualsBF16Steps(t *testing.T) {
	forEach(t, func(t *testing.T, c *Case, m *load.Model, library string) {
		l := open(t, m, kernels.Reference, library, nil)
		for _, p := range c.Prompts {
			if !p.NoNearTies {
				continue
			}
			logits := must(l.Prefill(array(t, c, "p%d_tokens", p.ID).Int32, p.Bucket))(t)
			want := array(t, c, "p%d_bf16s_logits", p.ID).Float32
			got := slices.Concat(logits...)
			var diff, size float64
			equal := 0
			for i := range want {
				diff += math.Pow(float64(got[i]-want[i]), 2)
				size += math.Pow(float64(want[i]), 2)
				if got[i] == want[i] {
					equal++
				}
			}
			rms := math.Sqrt(diff / size)
			t.Logf("prompt %d: relative RMS %.2g, %d of %d logits bit-equal", p.ID, rms, equal, len(want))
			if !(rms <= 0.01) {
				t.Errorf("prompt %d: relative RMS %.3g, want at most 0.01", p.ID, rms)
			}
		}
	})
}

// Edges of the reference that are requirements; RATIONALE.md says what is done about the others.
func TestEdges(t *testing.T) {
	forEach(t, func(t *testing.T, c *Case, m *load.Model, library string) {
		l := open(t, m, kernels.Exact, library, nil)
		v := m.Config.VocabSize
		for _, e := range c.Edges {
			switch e.Name {
			case "bigger_bucket", "zero_inside", "left_pad":
				tokens := array(t, c, "edge_%s_tokens", e.Name).Int32
				logits := must(l.Prefill(tokens, e.Bucket))(t)
				near(t, e.Name, slices.Concat(logits...), array(t, c, "edge_%s_logits", e.Name).Float32, 1e-4)
				if e.Name != "zero_inside" {
					continue
				}
				fed, want := array(t, c, "edge_zero_inside_decode_tokens").Int32, array(t, c, "edge_zero_inside_decode_logits").Float32
				for s, token := range fed {
					got := must(l.Decode(token, len(tokens)+s, 0))(t)
					near(t, fmt.Sprintf("zero_inside decode %d", s), got, want[s*v:(s+1)*v], 1e-4)
				}
			}
		}
	})
}

// Where troupe does better than the reference: a prompt behind pads continues as it does without them,
// up to the shift of its positions, which RoPE does not see.
func TestLeftPadContinues(t *testing.T) {
	forEach(t, func(t *testing.T, c *Case, m *load.Model, library string) {
		if !slices.ContainsFunc(c.Edges, func(e struct {
			Name   string `json:"name"`
			Bucket int    `json:"bucket"`
		}) bool {
			return e.Name == "left_pad"
		}) {
			t.Skip("no such edge recorded for this case")
		}
		l := open(t, m, kernels.Exact, library, nil)
		padded := array(t, c, "edge_left_pad_tokens").Int32
		must(l.Prefill(padded, len(padded)))(t)
		with := must(l.Decode(7, len(padded), 5))(t)
		plain := padded[5:]
		must(l.Prefill(plain, len(plain)))(t)
		without := must(l.Decode(7, len(plain), 0))(t)
		near(t, "continuation", with, without, 1e-4)
	})
}
