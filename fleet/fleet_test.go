package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"troupe/actors"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages/place"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are for replicas of these many stages, on a device each, all with the same weights.
func options(t *testing.T, sequences int, stages ...int) (list []actors.Options) {
	t.Helper()
	c := toy.Config()
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	weights := toy.Weights(c, toy.Float32, 5)
	for _, n := range stages {
		p, err := place.Make(c, slices.Repeat([]place.Device{{Name: "cpu", Threads: 1}}, n), place.Options{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, actors.Options{Model: c, Weights: weights, Placement: p, Binding: binding,
			Sched: sched.Config{Rows: 16, Draws: 8, Sequences: sequences, Queue: sequences, Blocks: 40}})
	}
	return list
}

func start(t *testing.T, list []actors.Options) *Fleet {
	t.Helper()
	f, err := Start(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, f.Stop) })
	return f
}

func stop(t *testing.T, end func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := end(ctx); err != nil {
		t.Error(err)
	}
}

func ask(seed, tokens int) sched.Request {
	prompt := make([]int32, 3+seed%7)
	for i := range prompt {
		prompt[i] = int32(3 + (seed*31+i*13)%60)
	}
	return sched.Request{Prompt: prompt, MaxTokens: tokens, Params: sample.Params{TopP: 1, Temperature: 1, Seed: uint64(seed)}, Policy: router.Uniform(2), EOS: -1}
}

func tokensOf(t *testing.T, s *Stream) (ids []int32) {
	t.Helper()
	for e := range s.Events() {
		switch {
		case e.Done && e.Err != nil:
			t.Error(e.Err)
		case !e.Done:
			ids = append(ids, e.Token)
		}
	}
	return ids
}

// TestSameTokens: replicas of different shapes give what one engine gives, each has its share, and the accounts are even
// at the end.
func TestSameTokens(t *testing.T) {
	const n = 24
	run := func(f *Fleet) (all [n][]int32, dealt map[int]int) {
		var mu sync.Mutex
		dealt = map[int]int{}
		var wg sync.WaitGroup
		for i := range n {
			s, err := f.Submit(t.Context(), ask(i, 6))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				ids := tokensOf(t, s)
				mu.Lock()
				defer mu.Unlock()
				all[i] = ids
				dealt[s.Replica()]++
			})
		}
		wg.Wait()
		return all, dealt
	}
	one := start(t, options(t, n, 1))
	three := start(t, options(t, n, 1, 3, 2))
	want, _ := run(one)
	got, dealt := run(three)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(dealt) != 3 {
		t.Errorf("requests by replica %v, want some for each of 3", dealt)
	}
	for i, r := range three.replicas {
		if r.load != 0 {
			t.Errorf("replica %d has %d to do with nothing open", i, r.load)
		}
	}
	a, err := one.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := three.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a.Sched.Tokens != n*6 || b.Sched.Tokens != n*6 || len(b.Devices) != 6 || len(b.Stages) != 6 || b.Stages[5].Device != 5 {
		t.Errorf("%+v, %+v", a, b)
	}
	x, err := one.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	y, err := three.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(x) != fmt.Sprint(y) {
		t.Errorf("counted %v, want %v", y, x)
	}
	if len(three.Suspects(2)) != 0 || len(three.Engines()) != 3 {
		t.Error(three.Suspects(2), three.Engines())
	}
}

// TestLeastLoad follows the accounts without engines: a long request weighs as much as several short ones.
func TestLeastLoad(t *testing.T) {
	f := &Fleet{replicas: []*replica{{}, {}, {}}}
	var got []int
	for _, cost := range []int{100, 10, 10, 10, 30, 50, 1} {
		got = append(got, f.take(make([]bool, 3), cost))
	}
	if want := []int{0, 1, 2, 1, 2, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	f.give(0, 100)
	if i := f.take(make([]bool, 3), 1); i != 0 {
		t.Errorf("replica %d, want 0, which has nothing to do", i)
	}
	if i := f.take([]bool{true, false, true}, 1); i != 1 {
		t.Errorf("replica %d, want the only one that was not tried", i)
	}
}

// TestFull holds the last stages, so that what has been taken stays open.
func TestFull(t *testing.T) {
	list := options(t, 1, 2, 2)
	gate := make(chan struct{})
	for i := range list {
		list[i].Trace = func(turn actors.Turn) {
			if turn.Layer == toy.Config().Model.NumLayers {
				<-gate
			}
		}
	}
	f := start(t, list)
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open) // before the engines are stopped
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var streams []*Stream
	for i := range 4 { // each replica runs one and has one in line
		s, err := f.Submit(ctx, ask(1, 20))
		if err != nil {
			t.Fatal(err)
		}
		if s.Replica() != i%2 {
			t.Errorf("request %d: replica %d, want %d", i, s.Replica(), i%2)
		}
		streams = append(streams, s)
	}
	if _, err := f.Submit(ctx, ask(1, 20)); !errors.Is(err, sched.ErrFull) {
		t.Errorf("%v, want that all are full", err)
	}
	cancel()
	open()
	for _, s := range streams {
		for range s.Events() {
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.replicas { // who leaves gives the load back
		if r.load != 0 {
			t.Errorf("replica %d has %d to do with nothing open", i, r.load)
		}
	}
}

// TestReplicaEnds: what one replica can no longer do, the others do; what no engine would do is refused as it is.
func TestReplicaEnds(t *testing.T) {
	f := start(t, options(t, 4, 1, 1))
	bad := ask(1, 6)
	bad.Prompt = []int32{-5}
	if _, err := f.Submit(t.Context(), bad); err == nil || errors.Is(err, sched.ErrFull) {
		t.Errorf("an impossible request: %v", err)
	}
	stop(t, f.replicas[0].Engine.Stop)
	for i := range 4 {
		s, err := f.Submit(t.Context(), ask(i, 4))
		if err != nil {
			t.Fatal(err)
		}
		if ids := tokensOf(t, s); len(ids) != 4 || s.Replica() != 1 {
			t.Errorf("%v of replica %d", ids, s.Replica())
		}
	}
	if s, err := f.Stats(t.Context()); err != nil || s.Sched.Tokens != 16 {
		t.Errorf("%+v, %v", s.Sched, err)
	}
	stop(t, f.replicas[1].Engine.Stop)
	if _, err := f.Submit(t.Context(), ask(1, 4)); !errors.Is(err, actors.ErrStopped) {
		t.Errorf("all have ended: %v", err)
	}
	if _, err := f.Stats(t.Context()); !errors.Is(err, actors.ErrStopped) {
		t.Errorf("all have ended: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	list := options(t, 1, 1, 1)
	list[1].Placement = place.Plan{}
	if _, err := Start(t.Context(), list); err == nil {
		t.Error("started without a placement")
	}
	if _, err := Start(t.Context(), nil); err == nil {
		t.Error("started without replicas")
	}
}
