package sample

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"troupe/internal/npy"
)

// Recorded samplings, see testdata/README.md. Every case has the same six.
var (
	cases = []string{"mini-g8", "one-layer-g1", "plain-f32-awkward", "experts16-top3", "all-experts-mqa", "layers12", "mixed-eps"}

	samplings = []Params{
		{Temperature: 1, TopP: 1, Seed: 42, Sampler: JAXBF16},
		{Temperature: 0.7, TopP: 0.9, Seed: 7, Sampler: JAXBF16},
		{Temperature: 1.3, TopP: 0.5, Seed: 123456789, Sampler: JAXBF16},
		{Temperature: 0.01, TopP: 1, Seed: 42, Sampler: JAXBF16},
		{Temperature: 1, TopP: 1, Seed: 42, Sampler: JAXF32},
		{Temperature: 0.7, TopP: 0.9, Seed: 7, Sampler: JAXF32},
	}
)

const steps = 12

func golden(t *testing.T, path ...string) *npy.Array {
	t.Helper()
	a, err := npy.ReadFile(filepath.Join("testdata", "grok1", filepath.Join(path...)) + ".npy")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sampling is one recorded sampling.
type sampling struct {
	logits, probs, topProbs, margin []float32 // [steps V] [steps] [steps 8] [steps]
	tokens, topIDs, kept            []int32   // [steps] [steps 8] [steps]
	keys                            []uint32  // [steps 2]
	noise                           []float32 // [V] of step 0
	vocab                           int
}

func load(t *testing.T, name string, j int) sampling {
	t.Helper()
	f := func(what string) *npy.Array { return golden(t, name, fmt.Sprintf("s%d_%s", j, what)) }
	logits := f("logits")
	return sampling{
		logits: logits.Float32, vocab: logits.Shape[1],
		probs: f("probs").Float32, topProbs: f("top8_probs").Float32, margin: f("margin").Float32,
		tokens: f("tokens").Int32, topIDs: f("top8_ids").Int32, kept: f("kept").Int32,
		keys: f("sample_keys").Uint32, noise: f("gumbel0").Float32,
	}
}

// Every recorded sampling replays: tokens, numbers kept, likeliest candidates and their order.
// Probabilities agree to float32's last bits, in bfloat16 exactly.
func TestReplay(t *testing.T) {
	for _, name := range cases {
		for j, p := range samplings {
			t.Run(fmt.Sprintf("%s/s%d", name, j), func(t *testing.T) {
				tolerance := 1e-6
				if p.Sampler == JAXBF16 {
					tolerance = 0
				}
				g := load(t, name, j)
				d := NewDrawer(g.vocab)
				for s := range steps {
					got, err := d.Draw(g.logits[s*g.vocab:][:g.vocab], p, 0, s)
					if err != nil {
						t.Fatal(err)
					}
					if got.Token != g.tokens[s] || got.Kept != int(g.kept[s]) {
						t.Errorf("step %d: token %d of %d kept, want %d of %d", s, got.Token, got.Kept, g.tokens[s], g.kept[s])
					}
					near(t, fmt.Sprintf("step %d: log probability", s), float64(got.LogProb), float32(math.Log(float64(g.probs[s]))), 1e-5)
					checkTop(t, d, g, p, s, tolerance)
				}
			})
		}
	}
}

// The winner leads the runner-up by the recorded margin: the keys, the noise and the sum of both are right
// even where the token does not tell. A single token left has no runner-up.
func TestReplayMargins(t *testing.T) {
	for _, name := range cases {
		for j, p := range samplings {
			g := load(t, name, j)
			d := NewDrawer(g.vocab)
			for s := range steps {
				if g.kept[s] == 1 {
					continue
				}
				draw := func() int32 {
					key := d.released.chains.use(p.Seed, s)
					if want := (Key{g.keys[2*s], g.keys[2*s+1]}); key != want {
						t.Fatalf("%s/s%d: step %d: key %v, want %v", name, j, s, key, want)
					}
					if p.Sampler == JAXBF16 {
						return d.released.noisyBF16(d.ids, key)
					}
					return d.released.noisyF32(d.ids, key)
				}
				if err := d.filterReleased(g.logits[s*g.vocab:][:g.vocab], p); err != nil {
					t.Fatal(err)
				}
				winner := draw()
				// The margin is the least that, taken from the winner, lets another win (or a tie).
				scaled := d.released.scaled[winner]
				d.released.scaled[winner] = scaled - g.margin[s] - 1e-4
				if draw() == winner {
					t.Errorf("%s/s%d: step %d: token %d leads by more than %v", name, j, s, winner, g.margin[s])
				}
				d.released.scaled[winner] = scaled - g.margin[s] + 1e-4
				if draw() != winner {
					t.Errorf("%s/s%d: step %d: token %d leads by less than %v", name, j, s, winner, g.margin[s])
				}
			}
		}
	}
}

// checkTop compares the likeliest candidates with the recorded ones of a step.
func checkTop(t *testing.T, d *Drawer, g sampling, p Params, s int, tolerance float64) {
	t.Helper()
	ids, probs, err := d.Top(g.logits[s*g.vocab:][:g.vocab], p, 8)
	if err != nil {
		t.Fatal(err)
	}
	if want := min(8, int(g.kept[s])); len(ids) != want || len(probs) != want {
		t.Fatalf("step %d: %d candidates with %d probabilities, want %d", s, len(ids), len(probs), want)
	}
	if want := g.topIDs[8*s:][:len(ids)]; !slices.Equal(ids, want) {
		t.Errorf("step %d: candidates %v, want %v", s, ids, want)
	}
	for i, got := range probs {
		near(t, fmt.Sprintf("step %d: candidate %d", s, i), float64(got), g.topProbs[8*s+i], tolerance)
	}
}

func near(t *testing.T, what string, got float64, want float32, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-float64(want)) <= tolerance) {
		t.Errorf("%s: %v, want %v within %v", what, got, want, tolerance)
	}
}
