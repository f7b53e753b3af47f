package actors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// mixedAsks are traced requests of every mode; two begin with pads, so that their prompts are filled up to a bucket.
func mixedAsks(t testing.TB) []sched.Request {
	all := append(routedAsks(t),
		sched.Request{Prompt: []int32{0, 0, 7, 9, 12}, MaxTokens: 9, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1, Trace: true},
		sched.Request{Prompt: []int32{0, 0}, MaxTokens: 4, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1, Trace: true})
	return all
}

// told is all that requests are told, but for what depends on who else is there.
func told(t testing.TB, e *Engine, requests []sched.Request) [][]sched.Event {
	t.Helper()
	out := make([][]sched.Event, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		wg.Go(func() {
			for e := range s.Events() {
				e.ID, e.Generation, e.Since = 0, 0, 0
				out[i] = append(out[i], e)
			}
		})
	}
	wg.Wait()
	return out
}

// weightsFor are those that an arithmetic computes with.
func weightsFor(a kernels.Arith) stages.Weights {
	storage := toy.Int8
	if a == kernels.Exact {
		storage = toy.Float32
	}
	return toy.Weights(toy.Config(), storage, 1)
}

var ariths = []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference}

// undisturbed is what the requests are told when nobody dies, and what routers count.
func undisturbed(t testing.TB, a kernels.Arith, requests []sched.Request) ([][]sched.Event, router.Counters) {
	t.Helper()
	l := plain
	l.sequences = len(requests)
	e := start(t, routedModel(l.options(t, weightsFor(a), a, "ref")))
	want := told(t, e, requests)
	count, err := e.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return want, count
}

func same(t *testing.T, got, want [][]sched.Event) {
	t.Helper()
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			last := got[i][len(got[i])-1]
			t.Errorf("request %d: %d events, want %d, or they differ; the end: %q, %v", i, len(got[i]), len(want[i]), last.Finish, last.Err)
		}
	}
}

// dyingLayouts are pipelines to kill parts of.
func dyingLayouts() (all []layout) {
	for n := range 3 {
		for _, batches := range []int{1, n + 2} {
			all = append(all, layout{stages: n + 1, devices: n/2 + 1, threads: 1, spread: true, batches: batches, rows: 9, sequences: 6})
		}
	}
	return all
}

// panicAt has the kernels of a kind panic at certain calls, counted from 1, and returns how many panics there were.
func panicAt(t *testing.T, of func(kernels.Segment) bool, calls ...int32) *atomic.Int32 {
	var n, panics atomic.Int32
	setHook(t, func(s kernels.Segment, _ *kernels.Frame) error {
		if !of(s) {
			return nil
		}
		at := n.Add(1)
		for _, call := range calls {
			if at == call {
				panics.Add(1)
				panic("BUG: a test's own")
			}
		}
		return nil
	})
	return &panics
}

// dying are kinds of kernels that a part may die in.
var dying = map[string]func(kernels.Segment) bool{
	"first":  func(s kernels.Segment) bool { return has(s, kernels.Embed) },
	"middle": func(s kernels.Segment) bool { return has(s, kernels.Attend) && s.Calls[0].Layer > 0 },
	"last":   func(s kernels.Segment) bool { return has(s, kernels.Head) },
	"expert": func(s kernels.Segment) bool { return has(s, kernels.Expert) },
}

// Whichever part dies, in the middle of whichever batch, all that requests are told is what they are told without it,
// and every row is counted once. Requests of every mode at some positions, few and short ones at every one.
func TestDeathChangesNothing(t *testing.T) {
	apart := int(1 / sampled)
	few := mixedAsks(t)[:1]
	few[0].MaxTokens = 4
	few = append(few, sched.Request{Prompt: text(6, 12), Mode: sched.Score, Policy: router.Uniform(1), EOS: -1, Trace: true})
	for _, a := range ariths {
		if sampled < 1 && a != kernels.Int8 {
			continue
		}
		strides := map[string]int{"first": 29 * apart, "middle": 61 * apart, "last": 29 * apart, "expert": 797 * apart}
		dieSomewhere(t, a, mixedAsks(t), strides)
		if a == kernels.Int8 {
			dieSomewhere(t, a, few, map[string]int{"first": apart, "middle": apart, "last": apart, "expert": 11 * apart})
		}
	}
}

// dieSomewhere has parts die at calls of their kernels that are so far apart.
func dieSomewhere(t *testing.T, a kernels.Arith, requests []sched.Request, strides map[string]int) {
	want, count := undisturbed(t, a, requests)
	w := weightsFor(a)
	for n, l := range dyingLayouts() {
		for kind, of := range dying {
			t.Run(fmt.Sprintf("%v/%d/%v/%s", a, len(requests), l, kind), func(t *testing.T) {
				for call := 1 + n*strides[kind]/7; ; call += strides[kind] {
					panics := panicAt(t, of, int32(call))
					e := start(t, routedModel(l.options(t, w, a, "hooked")))
					same(t, told(t, e, requests), want)
					counts(t, e, count)
					atHome(t, e)
					if err := stop(e); err != nil {
						t.Fatal(err)
					}
					if panics.Load() == 0 || t.Failed() {
						return // behind the last call
					}
					if n := e.Losses(); n.Deaths != 1 || n.Recoveries != 1 || n.GivenUp != 0 || n.Resent == 0 {
						t.Fatalf("call %d: %+v, want one recovery", call, n)
					}
				}
			})
		}
	}
}

// counts checks that every row has been counted once.
func counts(t *testing.T, e *Engine, want router.Counters) {
	t.Helper()
	got, err := e.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("routers have counted something else than without a death")
	}
}

// Random kills over seeds, with journals and without, with every library, and more than one part at a time.
func TestRandomDeathsChangeNothing(t *testing.T) {
	requests := mixedAsks(t)
	deaths := 0
	for _, a := range ariths {
		want, _ := undisturbed(t, a, requests)
		for seed := range uint64(share(30)) {
			rng := rand.New(rand.NewPCG(seed, 1))
			l := dyingLayouts()[rng.IntN(6)]
			l.devices, l.threads = 1+rng.IntN(3), 1+rng.IntN(2)
			l.devices = min(l.devices, l.stages)
			names := libraries()
			o := routedModel(l.options(t, weightsFor(a), a, names[rng.IntN(len(names))]))
			o.NoJournal = seed%3 == 0
			o.Chaos = &Chaos{Seed: seed, Rate: []float64{0.05, 0.3, 1}[seed%3]}
			t.Run(fmt.Sprintf("%v/seed=%d/%v", a, seed, l), func(t *testing.T) {
				e := start(t, o)
				same(t, told(t, e, requests), want)
				again := told(t, e, requests)
				same(t, again, want)
				if err := stop(e); err != nil {
					t.Error(err)
				}
				n := e.Losses()
				if n.Deaths == 0 && seed%3 == 2 || n.GivenUp > 0 {
					t.Errorf("%+v, want deaths, and nothing given up", n)
				}
				deaths += n.Deaths
			})
		}
	}
	if deaths < share(200) {
		t.Errorf("%d deaths in all, want %d at least", deaths, share(200))
	}
	t.Logf("%d deaths", deaths)
}

// A part that dies while another one's cache is computed again, or the same one again, starts it anew.
func TestDeathsDuringRecovery(t *testing.T) {
	requests := mixedAsks(t)
	want, count := undisturbed(t, kernels.Int8, requests)
	any := func(s kernels.Segment) bool { return true }
	for seed := range uint64(share(40)) {
		rng := rand.New(rand.NewPCG(seed, 2))
		l := dyingLayouts()[rng.IntN(6)]
		first := int32(20 + rng.IntN(400))
		second := first + 1 + int32(rng.IntN(12))
		t.Run(fmt.Sprintf("seed=%d/%v/calls=%d,%d", seed, l, first, second), func(t *testing.T) {
			panics := panicAt(t, any, first, second)
			o := routedModel(l.options(t, weightsFor(kernels.Int8), kernels.Int8, "hooked"))
			o.NoJournal = seed%4 == 0
			e := start(t, o)
			same(t, told(t, e, requests), want)
			counts(t, e, count)
			atHome(t, e)
			if n := e.Losses(); n.Deaths != int(panics.Load()) || n.Deaths == 0 {
				t.Errorf("%+v, want %d deaths", n, panics.Load())
			}
		})
	}
}

// Where the same batch kills a part again and again its requests fail, with the reason, and nobody else's.
func TestBatchThatKillsIsGivenUp(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for _, op := range []kernels.Op{kernels.Embed, kernels.Head} {
		t.Run(op.String(), func(t *testing.T) {
			setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
				if has(s, op) && holds(f, marked) {
					panic("BUG: a test's own")
				}
				return nil
			})
			e := start(t, pipeline.options(t, w, kernels.Int8, "hooked"))
			good := simple(text(1, 8), 6)
			got := serve(t, e, []sched.Request{good, simple(append(text(2, 7), marked), 6), good})
			if got[1].finish != "failed" || !strings.Contains(got[1].err.Error(), "has died 3 times at the same batch: panic: BUG: a test's own") {
				t.Errorf("finish %q, error %v, want failed by the third death", got[1].finish, got[1].err)
			}
			hook.Store(nil)
			alone := serve(t, e, []sched.Request{good})
			compare(t, []outcome{got[0], got[2]}, []outcome{alone[0], alone[0]})
			if n := e.Losses(); n.Deaths != 3 || n.GivenUp != 1 {
				t.Errorf("%+v, want 3 deaths and one batch given up", n)
			}
			atHome(t, e)
		})
	}
}

// A stage that cannot compute again what it had, three times, fails the requests; an error of a kernel does so at once.
func TestReplayThatFails(t *testing.T) {
	for _, panics := range []bool{true, false} {
		t.Run(fmt.Sprint("panics=", panics), func(t *testing.T) {
			var broken atomic.Bool
			setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
				if !broken.Load() || !has(s, kernels.Attend) || s.Calls[0].Layer != 1 || len(f.Rows.Draw) > 0 {
					return nil
				}
				if panics {
					panic("BUG: a test's own")
				}
				return errBroken
			})
			e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked"))
			s, err := e.Submit(t.Context(), simple(text(1, 8), 80))
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				s.Next()
			}
			broken.Store(true)
			e.keeper.kill(Part{Kind: StagePart, Index: 1}, nil)
			if o := collect(s); o.finish != "failed" || o.err == nil {
				t.Errorf("finish %q, error %v, want failed", o.finish, o.err)
			}
			broken.Store(false)
			if got := serve(t, e, []sched.Request{simple(text(2, 8), 6)}); got[0].finish != "length" {
				t.Errorf("a request after it: %q, %v", got[0].finish, got[0].err)
			}
			atHome(t, e)
		})
	}
}

// Requests come, are cancelled and end, libraries are swapped, while parts die; everything comes back.
func TestCrowdAmongDeaths(t *testing.T) {
	l := layout{stages: 3, devices: 2, threads: 1, spread: true, batches: 4, rows: 7, sequences: 4}
	want := loopOutcomes(t, weightsFor(kernels.Int8), kernels.Int8)
	o := l.options(t, weightsFor(kernels.Int8), kernels.Int8, "ref")
	o.Chaos = &Chaos{Seed: 5, Rate: 0.1}
	e := start(t, o)
	swaps := swapMeanwhile(t, e, 3)
	var wg sync.WaitGroup
	for client := range 6 {
		wg.Go(func() {
			for i := range share(8) {
				if client%2 == 0 {
					at := (client + i) % len(want)
					compare(t, serve(t, e, asks(t)[at:at+1]), want[at:at+1])
					continue
				}
				ctx, cancel := context.WithCancel(t.Context())
				s, err := e.Submit(ctx, simple(text(client, 1+i), 20))
				if err != nil {
					t.Errorf("client %d: %v", client, err)
				}
				for range i {
					s.Next()
				}
				cancel()
				if o := collect(s); o.finish != sched.Cancelled && o.finish != sched.Length {
					t.Errorf("client %d: %q, %v", client, o.finish, o.err)
				}
			}
		})
	}
	wg.Wait()
	swaps()
	atHome(t, e)
}

// Stop waits for no one who is dead.
func TestStopDuringRecovery(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for i := range share(60) {
		e := start(t, pipeline.options(t, w, kernels.Int8, "ref"))
		var streams []*Stream
		for k := range 4 {
			s, err := e.Submit(t.Context(), simple(text(k, 8), 80))
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		for range i % 5 {
			streams[0].Next()
		}
		parts := e.keeper.parts()
		e.keeper.kill(parts[i%len(parts)], nil)
		e.keeper.kill(parts[(i*7+1)%len(parts)], nil)
		time.Sleep(time.Duration(i%7) * 50 * time.Microsecond)
		if err := stop(e); err != nil {
			t.Fatal(err)
		}
		for k, s := range streams {
			if o := collect(s); o.finish != sched.Cancelled && o.finish != sched.Length {
				t.Errorf("stream %d: %q, %v", k, o.finish, o.err)
			}
		}
	}
}

// A stop that finds a replay on its way waits for it: what the replay still writes to is nobody else's until then.
func TestStopWaitsForReplay(t *testing.T) {
	var wait atomic.Bool
	begun, goOn := make(chan struct{}), make(chan struct{})
	setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
		if has(s, kernels.Attend) && s.Calls[0].Layer == 1 && len(f.Rows.Draw) == 0 && wait.CompareAndSwap(true, false) {
			close(begun)
			<-goOn
		}
		return nil
	})
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked"))
	s, err := e.Submit(t.Context(), simple(text(1, 8), 80))
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		s.Next()
	}
	wait.Store(true)
	e.keeper.kill(Part{Kind: StagePart, Index: 1}, nil)
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop(e) }()
	if o := collect(s); o.finish != sched.Cancelled { // the head has been told to leave
		t.Errorf("finish %q, %v, want cancelled", o.finish, o.err)
	}
	if st, err := e.Stats(t.Context()); err != nil || st.Sched.Cache.Lent == 0 {
		t.Errorf("no blocks are lent (%v), want those that the replay writes to", err)
	}
	close(goOn)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if e.reason != ErrStopped || !e.binder.ledger.idle() {
		t.Errorf("it ended with %v, ledger idle: %v, want %v and an idle one", e.reason, e.binder.ledger.idle(), ErrStopped)
	}
}

// A kill at a token is carried out there, and what came of it is told.
func TestKillsAreTold(t *testing.T) {
	o := pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	c, err := ParseChaos("kill stage=1 token=5; kill expert=0.3 token=2; kill router=0 token=1000")
	if err != nil {
		t.Fatal(err)
	}
	o.Chaos = &c
	e := start(t, o)
	r := simple(text(1, 8), 12)
	r.Policy = router.Uniform(5) // so that no token is made without the expert
	serve(t, e, []sched.Request{r})
	n := e.Losses()
	if len(n.Injuries) != 2 || n.Deaths != 2 || n.Recoveries != 2 {
		t.Fatalf("%+v, want 2 injuries and recoveries", n)
	}
	expert, stage := n.Injuries[0], n.Injuries[1]
	if expert.Token != 2 || expert.Replayed != 0 || expert.Outcome != Recovered || expert.Noticed > expert.Recovered {
		t.Errorf("expert: %+v, want it recovered with nothing computed again", expert)
	}
	// 8 rows of the prompt, 4 tokens fed; the fifth was drawn, and its row on its way or about to be.
	if stage.Token != 5 || stage.Outcome != Recovered || stage.Replayed < 12 || stage.Replayed > 14 {
		t.Errorf("stage: %+v, want some 12 rows computed again", stage)
	}
	if d := n.Last[1].Deaths[0]; d.Part != (Part{Kind: StagePart, Index: 1}) || !d.Killed {
		t.Errorf("the last death: %+v, want that of stage 1", d)
	}
}

// Deaths leave nothing behind: actors, goroutines and memory are as many as before.
func TestDeathsLeaveNothingBehind(t *testing.T) {
	o := pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "ref")
	e := start(t, o)
	round := func(n int) {
		for i := range n {
			parts := e.keeper.parts()
			deaths := e.Losses().Deaths
			e.keeper.kill(parts[i%len(parts)], nil)
			serve(t, e, []sched.Request{simple(text(1, 8), 4)})
			for e.Losses().Deaths == deaths { // nobody may have needed it
				time.Sleep(time.Millisecond)
			}
		}
	}
	round(20)
	actors, goroutines := len(e.actors), runtime.NumGoroutine()
	round(40)
	if n := runtime.NumGoroutine(); len(e.actors) != actors || n > goroutines+4 {
		t.Errorf("%d actors and %d goroutines, want %d and about %d", len(e.actors), n, actors, goroutines)
	}
}
