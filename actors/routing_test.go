package actors

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// routedModel is the toy with buckets, so that a prompt which begins with pads is filled up.
func routedModel(o Options) Options {
	o.Model.PadSizes = []int{8, 24}
	o.NoTelemetry = false
	return o
}

// routedAsks are requests of every kind, one of which begins with pads.
func routedAsks(t testing.TB) []sched.Request {
	all := append(asks(t), sched.Request{Prompt: []int32{0, 0, 7, 9, 12}, Mode: sched.Logits, Policy: router.Uniform(3), EOS: -1},
		sched.Request{Prompt: []int32{5}, Mode: sched.Score, Policy: router.Uniform(2), EOS: -1})
	for i := range all {
		all[i].Trace = true
	}
	return all
}

// routedLoop is the routing of the requests' rows in the plain loop, as it is when experts get their work. The
// probabilities are those that op route hands out: where a policy is one of counts, the likeliest must have been chosen.
func routedLoop(t *testing.T, o Options, requests []sched.Request) [][]router.RowRouting {
	t.Helper()
	var probs []float32
	tap := func(_ int, op kernels.Op, out []kernels.Slot, f *kernels.Frame) {
		if op == kernels.Route {
			probs = slices.Clone(f.Bufs[out[0]])
		}
	}
	l, err := solo.New(solo.Options{Config: o.Model, Weights: o.Weights, Arith: o.Arith, Binding: o.Binding, Threads: 1, Tap: tap})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all [][]router.RowRouting
	for i, r := range requests {
		var rows []router.RowRouting
		l.Policy = r.Policy
		l.Routed = func(layer int, b *stages.Batch) {
			in := &b.Frame.Rows
			for row := range in.N {
				if in.Prompt[row] && int(in.Pos[row]) >= len(r.Prompt) {
					continue // it fills the bucket
				}
				if layer == 0 {
					rows = append(rows, router.RowRouting{Position: int(in.Pos[row]), Token: in.Token[row], Path: router.Path{Start: []int32{0}}})
				}
				chosen := b.Routing.Expert[b.Routing.Start[row]:b.Routing.Start[row+1]]
				checkLikeliest(t, probs[row*5:row*5+5], chosen)
				p := &rows[slices.IndexFunc(rows, func(x router.RowRouting) bool { return x.Position == int(in.Pos[row]) })].Path
				p.Expert = append(p.Expert, chosen...)
				p.Gate = append(p.Gate, b.Routing.Gate[b.Routing.Start[row]:b.Routing.Start[row+1]]...)
				p.Start = append(p.Start, int32(len(p.Expert)))
			}
		}
		switch r.Mode {
		case sched.Generate:
			err = l.Generate(r.Prompt, r.MaxTokens, r.Params, func(stages.Drawn) {})
		case sched.Score:
			_, err = l.Prefill(r.Prompt[:max(len(r.Prompt)-1, 1)], 0)
		default:
			bucket := 0
			if r.Prompt[0] == 0 {
				bucket = 8
			}
			_, err = l.Prefill(r.Prompt, bucket)
		}
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		all = append(all, rows)
	}
	return all
}

// checkLikeliest sorts the probabilities and compares the first ones.
func checkLikeliest(t *testing.T, probs []float32, chosen []int32) {
	t.Helper()
	order := []int32{0, 1, 2, 3, 4}
	slices.SortStableFunc(order, func(a, b int32) int {
		return map[bool]int{true: -1, false: 1}[probs[a] > probs[b] || probs[a] == probs[b] && a < b]
	})
	if !slices.Equal(chosen, order[:len(chosen)]) {
		t.Fatalf("experts %v, want the first of %v", chosen, order)
	}
}

// routed runs the requests together and returns the routing that the events of each have brought, having looked
// whether each event has the rows that are its own.
func routed(t *testing.T, e *Engine, requests []sched.Request) [][]router.RowRouting {
	t.Helper()
	out := make([][]router.RowRouting, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		wg.Go(func() {
			for event := range s.Events() {
				checkRows(t, r, event)
				out[i] = append(out[i], event.Routing...)
			}
		})
	}
	wg.Wait()
	return out
}

func checkRows(t *testing.T, r sched.Request, e sched.Event) {
	t.Helper()
	first, last := len(r.Prompt)+e.Index-1, len(r.Prompt)+e.Index-1 // of a decode row
	switch {
	case !r.Trace:
		first, last = 0, -1
	case e.Done:
		if first, last = 0, -1; r.Mode == sched.Score && len(r.Prompt) == 1 {
			last = 0 // nothing is told of the one row
		}
	case r.Mode == sched.Score:
		first, last = e.Index-1, e.Index-1
	case r.Mode == sched.Logits:
		first, last = e.Index, e.Index
	case e.Index == 0:
		first = 0
	}
	if len(e.Routing) != last-first+1 {
		t.Errorf("event %d has %d rows, want positions %d to %d", e.Index, len(e.Routing), first, last)
		return
	}
	for i, row := range e.Routing {
		if row.Position != first+i {
			t.Errorf("event %d: row %d is of position %d, want %d", e.Index, i, row.Position, first+i)
		}
	}
}

// Whatever stages, chunks, batches in flight and neighbours: the routing that a request is told of has the same bits,
// and they are those of the plain loop. The counters are what counting these records gives.
func TestRoutingIsTheSameWhateverTheLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8} {
		w := toy.Weights(toy.Config(), toy.Int8, 1)
		requests := routedAsks(t)
		want := routedLoop(t, routedModel(plain.options(t, w, arith, "ref")), requests)
		for i, rows := range want {
			if n := len(requests[i].Prompt); requests[i].Mode == sched.Generate && len(rows) != n+requests[i].MaxTokens-1 {
				t.Fatalf("the plain loop routed %d rows of request %d", len(rows), i)
			}
		}
		for _, l := range append(sampleLayouts(rng, share(10)), plain) {
			l.rows = max(l.rows, 8) // the bucket of the request with pads
			t.Run(arith.String()+"/"+l.String(), func(t *testing.T) {
				e := start(t, routedModel(l.options(t, w, arith, "ref")))
				got := routed(t, e, requests)
				compareRouting(t, got, want)
				checkCounters(t, e, got)
				for i := range requests { // half of them beside others that want nothing of it
					requests[i].Trace = i%2 == 0
				}
				mixed := routed(t, e, requests)
				for i := range requests {
					if requests[i].Trace = true; i%2 == 1 && mixed[i] != nil {
						t.Errorf("request %d did not ask for its routing, and got it", i)
					} else if i%2 == 1 {
						mixed[i] = want[i]
					}
				}
				compareRouting(t, mixed, want)
			})
		}
	}
}

func compareRouting(t *testing.T, got, want [][]router.RowRouting) {
	t.Helper()
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Errorf("request %d: %d rows, want %d", i, len(got[i]), len(want[i]))
			continue
		}
		for row := range want[i] {
			if !reflect.DeepEqual(got[i][row], want[i][row]) {
				t.Errorf("request %d: row %d is %+v, want %+v", i, row, got[i][row], want[i][row])
			}
		}
	}
}

// checkCounters counts the records and compares: integers, and gates in the units of a router.Sum.
func checkCounters(t *testing.T, e *Engine, records [][]router.RowRouting) {
	t.Helper()
	got, err := e.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for layer := range got.Layers {
		l := &got.Layers[layer]
		rows, used, counts, mass, pairs := uint64(0), make([]uint64, 5), make([]uint64, 6), make([]router.Sum, 5), uint64(0)
		for _, r := range slices.Concat(records...) {
			experts, gates := r.Path.At(layer)
			rows++
			counts[len(experts)]++
			for i, x := range experts {
				used[x]++
				mass[x] += router.Sum(gates[i]*(1<<26) + .5)
			}
			if slices.Contains(experts, 1) && slices.Contains(experts, 3) {
				pairs++
			}
		}
		if l.Rows != rows || l.Undefined != 0 || !slices.Equal(l.Used, used) || !slices.Equal(l.Counts, counts) || !slices.Equal(l.Mass, mass) || l.Pair(3, 1) != pairs {
			t.Errorf("layer %d counted %+v, want %d rows, used %v, counts %v, masses %v, experts 1 and 3 %d times", layer, *l, rows, used, counts, mass, pairs)
		}
		if m := l.MeanEntropy(); m <= 0 || m > math.Log(5)+1e-5 {
			t.Errorf("layer %d: mean entropy %v, want up to ln 5", layer, m)
		}
	}
}

// What is counted between two copies is what was routed between them.
func TestRoutingSinceACopy(t *testing.T) {
	e := start(t, routedModel(plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Exact, "ref")))
	requests := routedAsks(t)[:3]
	routed(t, e, requests)
	before, err := e.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routed(t, e, requests[1:2])
	after, err := e.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rows := after.Sub(&before).Layers[2].Rows; rows != 19+9-1 {
		t.Errorf("%d rows, want the prompt's 19 and 8 of 9 new tokens", rows)
	}
}

func TestRoutingIsNotCounted(t *testing.T) {
	o := plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Exact, "ref")
	o.NoTelemetry = true
	e := start(t, o)
	if _, err := e.Routing(t.Context()); !errors.Is(err, ErrNoTelemetry) {
		t.Errorf("error %v, want ErrNoTelemetry", err)
	}
	r := routedAsks(t)[0]
	if rows := routed(t, e, []sched.Request{r})[0]; len(rows) != 5+12-1 {
		t.Errorf("%d rows, want 16: a request is told of its routing whether it is counted or not", len(rows))
	}
	if err := stop(e); err != nil {
		t.Fatal(err)
	}
	e.count = []*router.Counters{}
	if _, err := e.Routing(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("error %v of an engine that has stopped, want ErrStopped", err)
	}
}

// A request that fails leaves nothing in the batch or in the struct that the next one gets.
func TestRoutingAfterAFailure(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	o := routedModel(plain.options(t, w, kernels.Exact, "hooked"))
	requests := routedAsks(t)[:2]
	want := routedLoop(t, o, requests[1:])
	e := start(t, o)
	broken := errors.New("broken")
	fail := func(s kernels.Segment, f *kernels.Frame) error {
		if has(s, kernels.Head) && f.Rows.Pos[0] == 8 {
			return broken
		}
		return nil
	}
	hook.Store(&fail)
	s, err := e.Submit(t.Context(), requests[0])
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for event := range s.Events() {
		rows += len(event.Routing)
		if event.Done && !errors.Is(event.Err, broken) {
			t.Errorf("error %v, want that of the kernel", event.Err)
		}
	}
	if rows != 8 { // positions 0 to 7
		t.Errorf("%d rows before the failure, want 8", rows)
	}
	hook.Store(nil)
	compareRouting(t, routed(t, e, requests[1:]), want)
}

// The end of a text was drawn from a row as well.
func TestRoutingOfTheEnd(t *testing.T) {
	e := start(t, routedModel(plain.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Exact, "ref")))
	r := sched.Request{Prompt: text(1, 5), MaxTokens: 12, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1, Trace: true}
	free := serve(t, e, []sched.Request{r})[0]
	r.EOS = free.tokens[3]
	at := slices.Index(free.tokens, r.EOS)
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for event := range s.Events() {
		if event.Done && (event.Finish != sched.EOS || len(event.Routing) == 0 || event.Routing[len(event.Routing)-1].Position != 5+at-1) {
			t.Errorf("the end, %s, has %+v, want the row at %d", event.Finish, event.Routing, 5+at-1)
		}
	}
}
