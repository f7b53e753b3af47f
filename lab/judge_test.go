package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"troupe/actors"
	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var toyWeights = toy.Weights(toy.Config(), toy.Int8, 3)

// engine starts one for the toy that is stopped at the end of the test.
func engine(t testing.TB, devices string, limits sched.Config) *actors.Engine {
	t.Helper()
	list, err := place.ParseDevices(devices)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := place.Make(toy.Config(), list, place.Options{})
	if err != nil {
		t.Fatal(err)
	}
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	e, err := actors.Start(context.Background(), actors.Options{Model: toy.Config(), Weights: toyWeights, Placement: plan, Arith: kernels.Exact,
		Binding: binding, Sched: limits, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// few and many are limits under which requests of the tests run alone, and mixed.
var (
	few  = sched.Config{Rows: 96, Draws: 96, Sequences: 1, Queue: 1, Blocks: 6}
	many = sched.Config{Rows: 11, Draws: 7, Sequences: 6, Queue: 6, Blocks: 36}
)

// texts are documents of random ids, among them the shortest.
func texts() []Document {
	rng := rand.New(rand.NewPCG(1, 7))
	var list []Document
	for i, n := range []int{20, 2, 1, 33, 0, 9} {
		d := Document{Name: fmt.Sprint("text ", i)}
		for range n {
			d.IDs = append(d.IDs, 1+rng.Int32N(66))
		}
		list = append(list, d)
	}
	return list
}

func policies(t testing.TB, specs ...string) (list []router.Policy) {
	t.Helper()
	for _, s := range specs {
		p, err := router.Parse(s, router.Sizes{Layers: 3, Experts: 5, Selected: 2})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

var specs = []string{"1", "2", "0:1,1-2:3", "5", "2+mask:1", "random:2+seed:4", "top-p:0.6", "threshold:0.5;1:all"}

// judged runs a judge and gives the qualities by document and policy.
func judged(t *testing.T, j Judge, skip func(d, p int) bool) map[[2]int]Quality {
	t.Helper()
	got := map[[2]int]Quality{}
	err := j.Run(t.Context(), texts(), policies(t, specs...), skip, func(u Unit) error {
		at := [2]int{u.Document, u.Policy}
		if _, twice := got[at]; twice {
			t.Errorf("unit %v came twice", at)
		}
		got[at] = u.Quality
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestJudge compares with a plain loop over the model, one document and policy at a time.
func TestJudge(t *testing.T) {
	j := Judge{Engine: engine(t, "cpu:1", many), Model: toy.Config(), Requests: 12, Compare: true, Base: policies(t, "2")[0]}
	tokens := 0
	j.Progress = func(n int) { tokens += n }
	got := judged(t, j, nil)
	want := judgedTokens(texts()) * len(specs)
	if tokens != want {
		t.Errorf("progress of %d tokens, want %d", tokens, want)
	}
	for d, text := range texts() {
		base, _ := plain(t, text, j.Base)
		for p, policy := range policies(t, specs...) {
			logits, experts := plain(t, text, policy)
			want := Quality{Tokens: text.Judged(), Experts: experts}
			for at := range want.Tokens {
				a, b := naive(base[at]), naive(logits[at])
				want.Loss -= math.Log(b[text.IDs[at+1]])
				for i := range a {
					want.KL += a[i] * math.Log(a[i]/b[i])
				}
				if argmax(base[at]) == argmax(logits[at]) {
					want.Same++
				}
			}
			q := got[[2]int{d, p}]
			if math.Abs(q.Loss-want.Loss) > 1e-9 || math.Abs(q.KL-want.KL) > 1e-9 || q.Same != want.Same || q.Tokens != want.Tokens || q.Experts != want.Experts {
				t.Errorf("%s, experts %v: %+v, want %+v", text.Name, policy, q, want)
			}
			if policy.Equal(j.Base) && (q.KL != 0 || q.Same != q.Tokens) {
				t.Errorf("%s: the base differs from itself: %+v", text.Name, q)
			}
		}
	}
}

func judgedTokens(list []Document) (n int) {
	for _, d := range list {
		n += d.Judged()
	}
	return n
}

// plain gives the logits of the judged positions, and how many experts their rows used.
func plain(t *testing.T, d Document, p router.Policy) (logits [][]float32, experts int64) {
	t.Helper()
	if d.Judged() == 0 {
		return nil, 0
	}
	binding, err := kernels.ParseBinding("ref")
	if err != nil {
		t.Fatal(err)
	}
	l, err := solo.New(solo.Options{Config: toy.Config(), Weights: toyWeights, Arith: kernels.Exact, Binding: binding, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Policy = p
	l.Routed = func(_ int, b *stages.Batch) { experts += int64(len(b.Routing.Expert)) }
	logits, err = l.Prefill(d.IDs[:d.Judged()], 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range logits {
		logits[i] = slices.Clone(logits[i])
	}
	return logits, experts
}

func naive(logits []float32) []float64 {
	p, sum := make([]float64, len(logits)), 0.0
	for i, l := range logits {
		p[i] = math.Exp(float64(l))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func argmax(v []float32) int { return slices.Index(v, slices.Max(v)) }

// TestJudgeSameBits: whatever shares batches, and however the model is cut, and when only some is asked for.
func TestJudgeSameBits(t *testing.T) {
	base := policies(t, "2")[0]
	for _, compare := range []bool{true, false} {
		want := judged(t, Judge{Engine: engine(t, "cpu:1", few), Model: toy.Config(), Requests: 1, Compare: compare, Base: base}, nil)
		if len(want) != len(specs)*len(texts()) {
			t.Fatalf("%d units", len(want))
		}
		for _, devices := range []string{"cpu:1", "cpu:1,cpu:2,cpu:1"} {
			e := engine(t, devices, many)
			for _, memory := range []int64{0, 4 * 32 * 67} {
				j := Judge{Engine: e, Model: toy.Config(), Requests: 12, Compare: compare, Base: base, Memory: memory}
				got := judged(t, j, nil)
				odd := func(d, p int) bool { return (d+p)%2 == 1 || d == 3 }
				some := judged(t, j, odd)
				for at, q := range want {
					if got[at] != q {
						t.Errorf("%s, compare %v: unit %v is %+v, alone %+v", devices, compare, at, got[at], q)
					}
					if left, ok := some[at]; ok == odd(at[0], at[1]) || ok && left != q {
						t.Errorf("%s, compare %v: of some, unit %v is %+v, alone %+v", devices, compare, at, left, q)
					}
				}
			}
		}
	}
}

// TestJudgeEnds: each end is told with its reason, and nothing comes after it.
func TestJudgeEnds(t *testing.T) {
	j := Judge{Engine: engine(t, "cpu:1", many), Model: toy.Config(), Requests: 12, Compare: true, Base: policies(t, "2")[0]}
	list := policies(t, specs...)
	none := func(Unit) error { return nil }

	j.Memory = 4*32*67 - 1
	err := j.Run(t.Context(), texts(), list, nil, func(Unit) error { return errors.New("a unit came") })
	if err == nil || !strings.Contains(err.Error(), "text 3: the logits of 32 tokens take 8576 bytes, want at most 8575") || !strings.Contains(err.Error(), "--kl-memory") {
		t.Errorf("memory: %v", err)
	}
	j.Memory = 0

	full, units := errors.New("no space left"), 0
	err = j.Run(t.Context(), texts(), list, nil, func(Unit) error {
		if units++; units == 5 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || units != 5 {
		t.Errorf("%d units, %v", units, err)
	}

	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := j.Run(ctx, texts(), list, nil, func(Unit) error { cancel(stop); return nil }); !errors.Is(err, stop) {
		t.Errorf("interrupted: %v", err)
	}
	if err := j.Run(ctx, texts(), list, nil, none); !errors.Is(err, stop) {
		t.Errorf("interrupted before: %v", err)
	}

	bad := []Document{{Name: "line 3", IDs: []int32{1, 2, 99, 3}}}
	if err := j.Run(t.Context(), bad, list, nil, none); err == nil || !strings.Contains(err.Error(), "line 3, experts 2: ") || !strings.Contains(err.Error(), "99") {
		t.Errorf("unknown token: %v", err)
	}
}

// TestRequests: one fits, and checks, what a judge hands in.
func TestRequests(t *testing.T) {
	d := texts()[0]
	for _, compare := range []bool{true, false} {
		list := Requests(d, policies(t, specs...), compare)
		if len(list) != len(specs) || (list[0].Mode == sched.Logits) != compare || list[3].Policy.String() != "5" {
			t.Errorf("compare %v: %d requests, %+v", compare, len(list), list[0])
		}
	}
	var q Quality
	q.Add(Quality{Tokens: 2, Loss: math.MaxFloat64, KL: 3, Same: 1, Experts: 12})
	q.Add(Quality{Tokens: 2, Loss: math.MaxFloat64, KL: 1, Same: 1, Experts: 4})
	if math.IsInf(q.Loss, 1) || math.IsInf(q.Perplexity(), 1) || q.MeanKL() != 1 || q.Agreement() != 0.5 || q.ExpertsPerToken() != 4 {
		t.Errorf("%+v", q)
	}
}

// TestIdentity: another value, shape or configuration is another model; another layout is not.
func TestIdentity(t *testing.T) {
	name := func(c model.Config, w stages.Weights) string {
		s, err := Identity(c, w)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := toy.Config()
	want := name(c, toyWeights)
	if again := name(c, toy.Weights(c, toy.Int8, 3)); again != want || len(want) != 16 {
		t.Errorf("%s, again %s", want, again)
	}
	packed := stages.Weights{}
	for n, list := range toyWeights {
		for _, w := range list {
			p := *w
			if p.Quantised() && !p.Panels {
				p.Q = make([]int8, kernels.PanelSize(p.In, p.Out, p.Groups))
				kernels.PackPanels(p.Q, w.Q, p.In, p.Out, p.Groups, 0, kernels.NumPanels(p.Out))
				p.Panels = true
			}
			packed[n] = append(packed[n], &p)
		}
	}
	if got := name(c, packed); got != want {
		t.Errorf("in panels %s, want %s", got, want)
	}
	if other := name(c, toy.Weights(c, toy.Int8, 4)); other == want {
		t.Error("other weights have the same name")
	}
	c.Model.NumSelectedExperts = 1
	if other := name(c, toyWeights); other == want {
		t.Error("another configuration has the same name")
	}
	list := texts()
	was := Identities(list)
	list[3].IDs[2]++
	if Identities(list) == was {
		t.Error("other documents have the same name")
	}
}
