package sched

import (
	"slices"
	"sync"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

// The fake model has two layers of "attention": a row's state is a hash of what it sees. State 0 is the
// token, state 1 a hash of the states 0 of its keys, the output a hash of the states 1 of its keys. So a
// wrong key, table, position or order of chunks changes what comes out, as in a real model.

// mix is FNV-1a over words, with a finalizer.
func mix(v ...uint64) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range v {
		h = (h ^ x) * 1099511628211
		h ^= h >> 29
	}
	return h ^ h>>32
}

// fake computes batches through a paged cache of states.
type fake struct{ cache [2][]uint64 } // [layer][blocks*BlockTokens]

func newFake(blocks int) *fake {
	f := &fake{}
	for l := range f.cache {
		f.cache[l] = make([]uint64, blocks*kernels.BlockTokens)
	}
	return f
}

func (f *fake) at(layer int, table []int32, pos int) *uint64 {
	return &f.cache[layer][int(table[pos/kernels.BlockTokens])*kernels.BlockTokens+pos%kernels.BlockTokens]
}

// run draws from a sealed batch.
func (f *fake) run(b *stages.Batch) {
	rows := &b.Frame.Rows
	state := make([]uint64, rows.N)
	for r := range state {
		state[r] = uint64(rows.Token[r])
	}
	for layer := range f.cache {
		for r := range state {
			*f.at(layer, rows.Tables[rows.Seq[r]], int(rows.Pos[r])) = state[r]
		}
		for r := range state {
			seen := []uint64{uint64(rows.Token[r]), uint64(rows.Pos[r]), uint64(b.Policies[rows.Seq[r]].Rule(0).Count)}
			for _, j := range visible(rows, r) {
				seen = append(seen, uint64(j), *f.at(layer, rows.Tables[rows.Seq[r]], j))
			}
			state[r] = mix(seen...)
		}
	}
	for i, d := range b.Draws {
		b.Drawn = append(b.Drawn, answer(state[rows.Draw[i]], d))
	}
}

func visible(rows *kernels.Rows, r int) (keys []int) {
	for j := range int(rows.Pos[r]) + 1 {
		_, hidden := slices.BinarySearch(rows.Skip[rows.Seq[r]], int32(j))
		if rows.Keyless[r] == 0 && j >= int(rows.First[r]) && !(rows.Prompt[r] && hidden) {
			keys = append(keys, j)
		}
	}
	for j := range int(rows.Keyless[r]) {
		keys = append(keys, j)
	}
	return keys
}

func answer(output uint64, d stages.Draw) stages.Drawn {
	switch d.Kind {
	case stages.Score:
		return stages.Drawn{Token: d.Target, LogProb: -float32(mix(output, uint64(d.Target), uint64(d.Position)) % 1000)}
	case stages.Logits:
		return stages.Drawn{Logits: []float32{float32(output % 100_000)}}
	}
	h := mix(output, d.Params.Seed, uint64(d.Position), uint64(d.Step))
	return stages.Drawn{Token: int32(h % vocabulary), LogProb: -float32(h % 1000)}
}

const vocabulary = 67

func testModel() model.Config {
	c := toy.Config()
	c.PadSizes = []int{8, 24, 60}
	return c
}

// alone computes what a request gets by itself: from the rules for pad tokens, without blocks, batches
// or any code of the scheduler.
func alone(c model.Config, bucket int, r Request) []Event {
	pad, n := int32(c.PadToken), len(r.Prompt)
	first := slices.IndexFunc(r.Prompt, func(t int32) bool { return t != pad })
	if first < 0 {
		first = n
	}
	tokens := slices.Clone(r.Prompt)
	for first > 0 && len(tokens) < bucket {
		tokens = append(tokens, pad)
	}
	s := solo{policy: r.Policy}
	s.feed(tokens, func(i, j int) bool {
		nothingButPads := i < first || first == n
		return nothingButPads || j <= i && tokens[j] != pad
	})
	var events []Event
	switch r.Mode {
	case Score:
		for i := 1; i < n; i++ {
			d := answer(s.state[2][i-1], stages.Draw{Kind: stages.Score, Position: i, Target: r.Prompt[i]})
			events = append(events, Event{Index: i, Token: r.Prompt[i], LogProb: d.LogProb})
		}
		return events
	case Logits:
		for i := range n {
			d := answer(s.state[2][i], stages.Draw{Kind: stages.Logits})
			events = append(events, Event{Index: i, Token: r.Prompt[i], Logits: d.Logits})
		}
		return events
	}
	s.cut(n)
	for i := range r.MaxTokens {
		if i < len(r.Made) {
			s.feed(r.Made[i:i+1], func(_, j int) bool { return j >= first })
			continue
		}
		d := answer(s.state[2][n+i-1], stages.Draw{Position: n + i, Step: i, Params: r.Params})
		if d.Token == r.EOS {
			return events
		}
		events = append(events, Event{Index: i, Token: d.Token, LogProb: d.LogProb})
		s.feed([]int32{d.Token}, func(_, j int) bool { return j >= first })
	}
	return events
}

// solo is the fake model for one sequence.
type solo struct {
	policy router.Policy
	state  [3][]uint64 // [layer][position]
}

func (s *solo) feed(tokens []int32, sees func(i, j int) bool) {
	lo := len(s.state[0])
	for _, t := range tokens {
		s.state[0] = append(s.state[0], uint64(t))
	}
	for layer := range 2 {
		for i := lo; i < len(s.state[0]); i++ {
			seen := []uint64{s.state[0][i], uint64(i), uint64(s.policy.Rule(0).Count)}
			for j, state := range s.state[layer] {
				if sees(i, j) {
					seen = append(seen, uint64(j), state)
				}
			}
			s.state[layer+1] = append(s.state[layer+1], mix(seen...))
		}
	}
}

func (s *solo) cut(n int) {
	for l := range s.state {
		s.state[l] = s.state[l][:n]
	}
}

// testConfig is a scheduler of ample size.
func testConfig() Config {
	return Config{Model: testModel(), Stages: 2, Batches: 3, Rows: 24, Draws: 24, Sequences: 8, Queue: 16, Blocks: 64}
}

func newScheduler(t testing.TB, c Config) *Scheduler {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBatch(t testing.TB, c Config) *stages.Batch {
	t.Helper()
	b, err := stages.NewBatch(plan(), c.Limits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

var plan = sync.OnceValue(func() model.Plan { return model.NewPlan(testModel()) })

// generation asks for n new tokens after a prompt without pads.
func generation(n int, prompt ...int32) Request {
	return Request{Prompt: prompt, MaxTokens: n, Params: sample.Defaults(), Policy: router.Uniform(2), EOS: -1}
}

// counting is a prompt of n tokens from lo on, none of them a pad.
func counting(lo, n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(1 + (lo+i)%(vocabulary-1))
	}
	return p
}
