package actors

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/cpu"
	"troupe/model"
	"troupe/model/demo"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// rig is a model to carry: the same for the loop and for the actors.
type rig struct {
	config  model.Config
	weights stages.Weights
	arith   kernels.Arith
	library string
	tokens  int // drawn for one prompt of 8
}

func (r rig) request(n int) sched.Request {
	prompt := make([]int32, 8)
	for i := range prompt {
		prompt[i] = int32(3 + i)
	}
	return sched.Request{Prompt: prompt, MaxTokens: n, Params: sample.Params{TopP: 1}, Policy: router.Uniform(r.config.Model.NumSelectedExperts), EOS: -1}
}

// loop draws tokens in one goroutine.
func (r rig) loop(b *testing.B, n int) {
	binding, err := kernels.ParseBinding(r.library)
	if err != nil {
		b.Fatal(err)
	}
	l, err := solo.New(solo.Options{Config: r.config, Weights: r.weights, Arith: r.arith, Binding: binding, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	q := r.request(n)
	for b.Loop() {
		if err := l.Generate(q.Prompt, n, q.Params, func(stages.Drawn) {}); err != nil {
			b.Fatal(err)
		}
	}
}

// actors draws the same tokens through an engine of one stage.
func (r rig) actors(b *testing.B, n int) {
	o := plain.options(b, r.weights, r.arith, r.library)
	o.Model = r.config
	o.Placement = plain.placement(r.config.Model.NumLayers, r.config.Model.NumExperts)
	o.Sched.Blocks = r.config.SequenceLen / kernels.BlockTokens
	e, err := Start(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer stop(e)
	q := r.request(n)
	for b.Loop() {
		s, err := e.Submit(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		if o := collect(s); len(o.tokens) != n {
			b.Fatalf("%d tokens, want %d: %v", len(o.tokens), n, o.err)
		}
	}
}

func (r rig) bench(b *testing.B) {
	perToken := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*r.tokens), "ns/token")
	}
	b.Run("loop", func(b *testing.B) { b.ReportAllocs(); r.loop(b, r.tokens); perToken(b) })
	b.Run("actors", func(b *testing.B) { b.ReportAllocs(); r.actors(b, r.tokens); perToken(b) })
}

func openDemo(b *testing.B) *load.Model {
	c, err := load.Config(demo.FS())
	if err != nil {
		b.Fatal(err)
	}
	m, err := load.Open(b.Context(), demo.FS(), c, ckpt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return m
}

// BenchmarkOneStream is a stream of 200 tokens of the demo model on one device with one thread: the plain
// loop, and the same kernels carried by actors. The difference is the price of messages; the goal is 3 %
// at most.
func BenchmarkOneStream(b *testing.B) {
	m := openDemo(b)
	for _, arith := range []kernels.Arith{kernels.Int8, kernels.Exact} {
		b.Run(arith.String(), rig{m.Config, m.Weights, arith, "cpu", 200}.bench)
	}
}

// BenchmarkFourStreams is four streams of the demo model on two cores: one device with both, and two
// stages on two devices with one each. The pipeline should lose nothing.
func BenchmarkFourStreams(b *testing.B) {
	m := openDemo(b)
	r := rig{m.Config, m.Weights, kernels.Int8, "cpu", 100}
	for _, l := range []layout{
		{stages: 1, devices: 1, threads: 2, batches: 1, rows: 64, sequences: 4},
		{stages: 2, devices: 2, threads: 1, batches: 3, rows: 64, sequences: 4},
	} {
		b.Run(fmt.Sprintf("stages=%d", l.stages), func(b *testing.B) {
			o := l.options(b, r.weights, r.arith, r.library)
			o.Model, o.Placement = r.config, l.placement(r.config.Model.NumLayers, r.config.Model.NumExperts)
			e, err := Start(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer stop(e)
			q := r.request(r.tokens)
			for b.Loop() {
				serve(b, e, []sched.Request{q, q, q, q})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*4*r.tokens), "ns/token")
		})
	}
}

// BenchmarkNothing is the demo model with kernels that compute nothing: what is left is the hand-over to
// experts, the draw, and in the second one schedule and messages.
func BenchmarkNothing(b *testing.B) {
	m := openDemo(b)
	rig{m.Config, m.Weights, kernels.Int8, "nothing", 200}.bench(b)
}

// The steady state allocates next to nothing: what a request needs once is spread over its tokens.
func TestTokensAllocateNothing(t *testing.T) {
	r := rig{toy.Config(), toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "nothing", 0}
	o := plain.options(t, r.weights, r.arith, r.library)
	e := start(t, o)
	mallocs := func(n int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		serve(t, e, []sched.Request{r.request(n)})
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	mallocs(80) // warm up
	few, many := mallocs(8), mallocs(80)
	if per := float64(many-few) / 72; per > 0.5 {
		t.Errorf("%d allocations for 8 tokens, %d for 80: %.2f a token, want none but for growing slices", few, many, per)
	}
}

// BenchmarkJournal is what journals cost while nobody dies: four streams of the demo model over three stages, with and
// without, a request in turn, so that both meet the same moods of the machine. The goal is 2 % at most.
func BenchmarkJournal(b *testing.B) {
	m := openDemo(b)
	r := rig{m.Config, m.Weights, kernels.Int8, "cpu", 100}
	l := layout{stages: 3, devices: 1, threads: 1, batches: 4, rows: 64, sequences: 4}
	var engines [2]*Engine
	for i := range engines {
		o := l.options(b, r.weights, r.arith, r.library)
		o.Model, o.Placement = r.config, l.placement(r.config.Model.NumLayers, r.config.Model.NumExperts)
		o.NoJournal = i == 0
		var err error
		if engines[i], err = Start(b.Context(), o); err != nil {
			b.Fatal(err)
		}
		defer stop(engines[i])
	}
	q := r.request(r.tokens)
	var spent [2]time.Duration
	for b.Loop() {
		for i, e := range engines {
			begin := time.Now()
			serve(b, e, []sched.Request{q, q, q, q})
			spent[i] += time.Since(begin)
		}
	}
	b.ReportMetric(100*(float64(spent[1])/float64(spent[0])-1), "%overhead")
}
