package actors

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

func TestMain(m *testing.M) {
	if os.Getenv(echoKey) != "" {
		if err := echo(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// layout is one way of arranging the same computation.
type layout struct {
	stages, devices, threads int  // stage i lives on device i mod devices
	spread                   bool // experts go round robin over all devices
	batches, rows, sequences int
}

func (l layout) String() string {
	return fmt.Sprintf("stages=%d,devices=%d,threads=%d,spread=%v,batches=%d,rows=%d,sequences=%d",
		l.stages, l.devices, l.threads, l.spread, l.batches, l.rows, l.sequences)
}

// plain is one stage on one device, whole prompts, one request at a time.
var plain = layout{stages: 1, devices: 1, threads: 1, batches: 1, rows: 64, sequences: 1}

// options arranges the toy.
func (l layout) options(t testing.TB, w stages.Weights, arith kernels.Arith, library string) Options {
	t.Helper()
	binding, err := kernels.ParseBinding(library)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Model: toy.Config(), Weights: w, Arith: arith, Binding: binding,
		Sched: sched.Config{Batches: l.batches, Rows: l.rows, Draws: l.rows, Sequences: l.sequences, Queue: 64, Blocks: 40},
	}
	o.Placement = l.placement(o.Model.Model.NumLayers, o.Model.Model.NumExperts)
	return o
}

func (l layout) placement(layers, experts int) place.Plan {
	var p place.Plan
	for range l.devices {
		p.Devices = append(p.Devices, place.Device{Name: "cpu", Threads: l.threads})
	}
	for i := range l.stages {
		span := stages.Span{Lo: i * layers / l.stages, Hi: (i + 1) * layers / l.stages}
		p.Stages = append(p.Stages, place.Stage{Span: span, Device: i % l.devices})
		for range span.Hi - span.Lo {
			homes := make([]int, experts)
			for e := range homes {
				homes[e] = i % l.devices
				if l.spread {
					homes[e] = e % l.devices
				}
			}
			p.Experts = append(p.Experts, homes)
		}
	}
	return p
}

// start starts an engine that is stopped at the end of the test.
func start(t testing.TB, o Options) *Engine {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(e); err != nil {
			t.Error(err)
		}
	})
	return e
}

func stop(e *Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return e.Stop(ctx)
}

// asks are requests of every kind that differ in length, experts and sampling.
func asks(t testing.TB) []sched.Request {
	t.Helper()
	mixed, err := router.Parse("0:1,1:5,2:3", router.Sizes{Layers: 3, Experts: 5, Selected: 2})
	if err != nil {
		t.Fatal(err)
	}
	warm := sample.Params{Temperature: 0.9, TopP: 0.95, Seed: 7}
	padded := text(7, 10)
	padded[3], padded[8] = 0, 0
	return []sched.Request{
		{Prompt: text(1, 5), MaxTokens: 12, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1},
		{Prompt: text(2, 19), MaxTokens: 9, Params: warm, Policy: mixed, EOS: -1},
		{Prompt: text(3, 1), MaxTokens: 15, Params: sample.Defaults(), Policy: router.Uniform(5), EOS: -1},
		{Prompt: text(4, 33), MaxTokens: 3, Params: sample.Defaults(), Policy: router.Uniform(1), EOS: -1},
		{Prompt: padded, MaxTokens: 7, Params: warm, Policy: router.Uniform(2), EOS: -1},
		{Prompt: text(5, 21), Mode: sched.Score, Policy: router.Uniform(3), Params: sample.Defaults(), EOS: -1},
		{Prompt: text(6, 11), Mode: sched.Logits, Policy: router.Uniform(2), Params: sample.Defaults(), EOS: -1},
	}
}

// text is n token ids of the toy's vocabulary, neither pad nor end.
func text(seed, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(3 + (seed*31+i*i*7+i*13)%60)
	}
	return ids
}

// outcome is what a stream has delivered.
type outcome struct {
	tokens   []int32
	logProbs []float32
	logits   [][]float32
	finish   sched.Finish
	err      error
}

func collect(s *Stream) (o outcome) {
	for e := range s.Events() {
		if e.Done {
			o.finish, o.err = e.Finish, e.Err
			break
		}
		o.tokens = append(o.tokens, e.Token)
		o.logProbs = append(o.logProbs, e.LogProb)
		if e.Logits != nil {
			o.logits = append(o.logits, e.Logits)
		}
	}
	return o
}

// serve submits the requests together and waits for all of them.
func serve(t testing.TB, e *Engine, requests []sched.Request) []outcome {
	t.Helper()
	out := make([]outcome, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		wg.Go(func() { out[i] = collect(s) })
	}
	wg.Wait()
	return out
}

// A library of the tests: kernels/ref with a hook before each segment.
var _ = kernels.Register(kernels.Variant{
	Name: "hooked", Doc: "ref with a hook, for tests", Score: func() int { return 1 },
	Open: func(threads kernels.Threads) (kernels.Library, error) {
		ref, err := kernels.Find("ref")
		if err != nil {
			return nil, err
		}
		inner, err := ref.Open(threads)
		return hooked{inner}, err
	},
})

// hook is called before each segment when set; its error is the kernel's.
var hook atomic.Pointer[func(kernels.Segment, *kernels.Frame) error]

// setHook sets the hook for the length of a test.
func setHook(t testing.TB, f func(kernels.Segment, *kernels.Frame) error) {
	hook.Store(&f)
	t.Cleanup(func() { hook.Store(nil) })
}

type hooked struct{ kernels.Library }

func (l hooked) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k, err := l.Library.Compile(s)
	return hookedKernel{s, k}, err
}

type hookedKernel struct {
	segment kernels.Segment
	inner   kernels.Kernel
}

func (k hookedKernel) Run(f *kernels.Frame) error {
	if h := hook.Load(); h != nil {
		if err := (*h)(k.segment, f); err != nil {
			return err
		}
	}
	return k.inner.Run(f)
}

// has reports whether a segment holds an op.
func has(s kernels.Segment, op kernels.Op) bool {
	for _, c := range s.Calls {
		if c.Op == op {
			return true
		}
	}
	return false
}

// A library of the tests that computes nothing: what is left is the cost of carrying.
var _ = kernels.Register(kernels.Variant{
	Name: "nothing", Doc: "computes nothing, for tests", Score: func() int { return 1 },
	Open: func(kernels.Threads) (kernels.Library, error) { return nothing{}, nil },
})

type nothing struct{}

func (nothing) Info() kernels.Info                              { return kernels.Info{Name: "nothing"} }
func (nothing) Compile(kernels.Segment) (kernels.Kernel, error) { return nothing{}, nil }
func (nothing) Run(*kernels.Frame) error                        { return nil }
func (nothing) Close() error                                    { return nil }
