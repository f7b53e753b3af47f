package sweep

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"troupe/actors"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/lab"
	"troupe/lab/journal"
	"troupe/router"
	"troupe/stages/place"
	"troupe/stages/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var toyWeights = toy.Weights(toy.Config(), toy.Int8, 3)

func engine(t testing.TB) *actors.Engine {
	t.Helper()
	list, err := place.ParseDevices("cpu:1,cpu:1")
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
	e, err := actors.Start(context.Background(), actors.Options{Model: toy.Config(), Weights: toyWeights, Placement: plan, Arith: kernels.Exact, Binding: binding,
		Sched: sched.Config{Rows: 24, Draws: 24, Sequences: 4, Queue: 4, Blocks: 24}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
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

// options sweep the toy over three domains.
func options(t testing.TB) Options {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 7))
	o := Options{Model: toy.Config(), Weights: toyWeights, Arith: kernels.Exact, Default: router.Uniform(2), Seeds: 2, Compare: true, Requests: 8,
		Trial: Trial{Streams: 2, Prompt: 9, Generate: 6, Repetitions: 2}}
	for i := range 9 {
		d := lab.Document{Name: fmt.Sprint("text ", i), Domain: []string{"tales", "sums", ""}[i%3]}
		for range 5 + 2*i {
			d.IDs = append(d.IDs, 1+rng.Int32N(66))
		}
		o.Documents = append(o.Documents, d)
	}
	for _, spec := range []string{"1", "2", "5", "0:1,1-2:3", "top-p:0.5", "random:2"} {
		p, err := router.Parse(spec, router.Sizes{Layers: 3, Experts: 5, Selected: 2})
		if err != nil {
			t.Fatal(err)
		}
		o.Policies = append(o.Policies, p)
	}
	return o
}

func sweepOf(t testing.TB, o Options) *Sweep {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quality is a report without speeds, which no two runs share.
func quality(t testing.TB, r Report) string {
	t.Helper()
	r.Policies = append([]Row(nil), r.Policies...)
	for i := range r.Policies {
		row := &r.Policies[i]
		if row.Prefill == nil || row.Decode.Median <= 0 || row.Prefill.Min <= 0 || row.Decode.Max < row.Decode.Median || row.Speedup <= 0 {
			t.Errorf("%s: speeds %+v, %+v", row.Policy, row.Prefill, row.Decode)
		}
		row.Prefill, row.Decode, row.Speedup = nil, nil, 0
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSweep compares the figures with those of documents judged one by one.
func TestSweep(t *testing.T) {
	e, o := engine(t), options(t)
	told, last := int64(0), int64(0)
	o.Progress = func(done, all int64) {
		if done <= last || done > all {
			t.Errorf("progress %d of %d behind %d", done, all, last)
		}
		last, told = done, all
	}
	s := sweepOf(t, o)
	missing, all := s.Missing()
	if missing != all || all != 7*9+6*2 {
		t.Fatalf("%d of %d missing", missing, all)
	}
	lines := 0
	if err := s.Run(t.Context(), e, func(Measurement) error { lines++; return nil }); err != nil {
		t.Fatal(err)
	}
	if missing, _ := s.Missing(); missing != 0 || lines != all || last != told {
		t.Errorf("%d missing, %d lines, progress %d of %d", missing, lines, last, told)
	}
	r := s.Report()
	_ = quality(t, r)
	if fmt.Sprint(r.Domains) != "[tales sums]" || r.Documents != 9 || r.Tokens != 4*9+2*36 {
		t.Errorf("%+v", r)
	}
	for i, row := range r.Policies {
		seeds := []router.Policy{o.Policies[i]}
		if o.Policies[i].Random() {
			seeds = []router.Policy{seeds[0].Seeded(1), seeds[0].Seeded(2)}
		}
		var total, tales lab.Quality
		for _, p := range seeds {
			j := lab.Judge{Engine: e, Model: o.Model, Requests: 1, Compare: true, Base: o.Default}
			if err := j.Run(t.Context(), o.Documents, []router.Policy{p}, nil, func(u lab.Unit) error {
				total.Add(u.Quality)
				if u.Document%3 == 0 {
					tales.Add(u.Quality)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		checkFigures(t, row.Policy, row.Total, total)
		checkFigures(t, row.Policy+" tales", row.Domains["tales"], tales)
		if row.IsDefault != (i == 1) || row.Count != []int{1, 2, 5, 0, 0, 0}[i] || len(row.Documents) != 9 || (row.Seeds == 2) != (i == 5) {
			t.Errorf("%s: %+v", row.Policy, row)
		}
		if f := row.Total; i != 1 && (f.Change == 0 || f.ChangeInterval.Low >= f.ChangeInterval.High || f.Interval.Low >= f.Perplexity || f.Interval.High <= f.Perplexity) {
			t.Errorf("%s: %+v", row.Policy, f)
		}
	}
	if b := r.Policies; !(b[0].ActiveBytes < b[1].ActiveBytes && b[1].ActiveBytes < b[2].ActiveBytes && b[4].ActiveBytes < b[2].ActiveBytes) {
		t.Errorf("active bytes %d, %d, %d, %d", b[0].ActiveBytes, b[1].ActiveBytes, b[2].ActiveBytes, b[4].ActiveBytes)
	}
	checkFiles(t, &r)
}

func checkFigures(t *testing.T, name string, f Figures, want lab.Quality) {
	t.Helper()
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(math.Abs(b), 1) }
	if !near(f.Loss, want.MeanLoss()) || !near(f.KL, want.MeanKL()) || !near(f.Agreement, want.Agreement()) || !near(f.Perplexity, math.Exp(f.Loss)) || !near(3*f.ExpertsPerLayer, want.ExpertsPerToken()) {
		t.Errorf("%s: %+v, want %+v", name, f, want)
	}
}

// checkFiles looks at what a report is written as.
func checkFiles(t *testing.T, r *Report) {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 1+6*3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[4][:5], " "); got != "2 true 1  108" {
		t.Errorf("row of the default: %q", got)
	}
	for i, row := range rows[1:] {
		if whole := i%3 == 0; (row[3] == "") != whole || (row[19] != "") != whole {
			t.Errorf("row %d: %q", i, row)
		}
	}
	list, err := r.Figures()
	if err != nil || len(list) != 5 {
		t.Fatalf("%d figures, %v", len(list), err)
	}
	for _, f := range list {
		if err := errors.Join(f.WritePNG(io.Discard), f.WriteSVG(io.Discard)); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// TestResume: a sweep that a full disk or an interruption has stopped again and again ends with the table of one that
// was not.
func TestResume(t *testing.T) {
	e, o := engine(t), options(t)
	whole := sweepOf(t, o)
	if err := whole.Run(t.Context(), e, func(Measurement) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want := quality(t, whole.Report())
	fields, err := whole.Fields()
	if err != nil {
		t.Fatal(err)
	}
	at := journal.Options{File: filepath.Join(t.TempDir(), "measurements.jsonl"), Kind: "experts sweep", Version: Version, Fields: fields}
	full, stop := errors.New("no space left"), errors.New("interrupted")
	for attempt, there := 0, 0; ; attempt++ {
		s := sweepOf(t, o)
		j, err := journal.Open(at, s.Take)
		if err != nil {
			t.Fatal(err)
		}
		if missing, all := s.Missing(); all-missing != there || j.Lines() != there {
			t.Fatalf("attempt %d: %d of %d missing, want %d there", attempt, missing, all, there)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		err = s.Run(ctx, e, func(m Measurement) error {
			if n++; n > 11+attempt {
				if attempt%2 == 0 {
					return full
				}
				cancel(stop)
			}
			return j.Add(m)
		})
		there = j.Lines()
		if e := j.Close(); e != nil {
			t.Fatal(e)
		}
		if err == nil {
			if got := quality(t, s.Report()); got != want {
				t.Errorf("after %d interruptions\n%s\nwant\n%s", attempt, got, want)
			}
			if attempt < 3 {
				t.Errorf("only %d interruptions", attempt)
			}
			return
		}
		if attempt%2 == 0 && !errors.Is(err, full) || attempt%2 == 1 && !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
}

// TestTake refuses lines that are not of this sweep.
func TestTake(t *testing.T) {
	s := sweepOf(t, options(t))
	for _, good := range []string{`{"policy":"1","document":1,"quality":{"tokens":6,"loss":2,"kl":0,"same":1,"experts":18}}`, `{"policy":"random:2+seed:1","repetition":1,"prefill_tokens_per_second":3}`} {
		if err := s.Take([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{`7`, `{}`, `{"policy":"3","document":1}`, `{"policy":"1","document":1}`, `{"policy":"1","document":9,"quality":{"tokens":6}}`, `{"policy":"1","document":-1,"quality":{}}`,
		`{"policy":"1","document":1,"quality":{"tokens":5}}`, `{"policy":"1","repetition":2}`, `{"policy":"1","repetition":-1}`, `{"policy":"random:2","repetition":1}`} {
		if err := s.Take([]byte(bad)); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
	if missing, all := s.Missing(); missing != all-2 {
		t.Errorf("%d of %d missing", missing, all)
	}
}

// TestFields: another model, text, policy or trial is another sweep.
func TestFields(t *testing.T) {
	name := func(change func(*Options)) string {
		o := options(t)
		change(&o)
		fields, err := sweepOf(t, o).Fields()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(fields)
	}
	want := name(func(o *Options) { o.Requests = 3 })
	for what, change := range map[string]func(*Options){
		"arith":    func(o *Options) { o.Arith = kernels.Int8 },
		"weights":  func(o *Options) { o.Weights = toy.Weights(toy.Config(), toy.Int8, 4) },
		"text":     func(o *Options) { o.Documents[3].IDs[1] ^= 1 },
		"policies": func(o *Options) { o.Policies = o.Policies[:5] },
		"seeds":    func(o *Options) { o.Seeds = 3 },
		"default":  func(o *Options) { o.Default = router.Uniform(1) },
		"trial":    func(o *Options) { o.Trial.Generate++ },
		"compare":  func(o *Options) { o.Compare = false },
	} {
		if name(change) == want {
			t.Errorf("another %s is no other sweep", what)
		}
	}
}

func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"without a token":        func(o *Options) { o.Documents = []lab.Document{{IDs: []int32{1}}} },
		"experts 1 stands twice": func(o *Options) { o.Policies = append(o.Policies, router.Uniform(1)) },
		"the default, experts 4": func(o *Options) { o.Default = router.Uniform(4) },
		"2 new tokens":           func(o *Options) { o.Trial.Generate = 1 },
		"at most the context":    func(o *Options) { o.Trial.Prompt = 95 },
	} {
		o := options(t)
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestSpeedOf: prefill until the last stream has begun, decode while all go on.
func TestSpeedOf(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds ...float64) (list []time.Time) {
		for _, s := range seconds {
			list = append(list, begin.Add(time.Duration(s*float64(time.Second))))
		}
		return list
	}
	if v := speedOf(begin, [][]time.Time{at(2, 3, 4, 5)}, 10); v != (speed{5, 1}) {
		t.Errorf("one stream: %v", v)
	}
	if v := speedOf(begin, [][]time.Time{at(1, 2, 3, 4), at(2, 3, 4, 6)}, 10); v != (speed{10, 2}) {
		t.Errorf("two streams: %v", v)
	}
	if v := speedOf(begin, [][]time.Time{at(1, 2), at(3, 5)}, 10); v.decode != 0.5 {
		t.Errorf("streams one after the other: %v", v)
	}
}

// TestIntervals: those of independent draws are about those of the normal distribution, and the same each time.
func TestIntervals(t *testing.T) {
	const n, tokens = 400, 50
	rng := rand.New(rand.NewPCG(2, 2))
	list, other := make([]lab.Quality, n), make([]lab.Quality, n)
	for i := range list {
		loss := 1 + 0.3*rng.NormFloat64()
		other[i] = lab.Quality{Tokens: tokens, Loss: tokens * loss}
		list[i] = lab.Quality{Tokens: tokens, Loss: tokens * (loss + 0.1)}
	}
	p, c := intervals(list, other)
	wide := 2 * 1.96 * 0.3 / math.Sqrt(n)
	if got := math.Log(p.High / p.Low); math.Abs(got/wide-1) > 0.1 {
		t.Errorf("logarithm of the interval %v, want about %v", got, wide)
	}
	if want := 100 * (math.Exp(0.1) - 1); math.Abs(c.Low-want) > 1e-9 || math.Abs(c.High-want) > 1e-9 {
		t.Errorf("change %v, want %v: it is the same in every document", c, want)
	}
	if again, _ := intervals(list, other); *again != *p {
		t.Errorf("%v, then %v", p, again)
	}
	if p, c := intervals(list[:1], other[:1]); p != nil || c != nil {
		t.Errorf("of one document: %v, %v", p, c)
	}
}

// TestFront against every pair.
func TestFront(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		var r Report
		for i := range 8 {
			r.Policies = append(r.Policies, Row{Policy: fmt.Sprint(i), ActiveBytes: rng.Int64N(5), Total: Figures{Perplexity: float64(rng.IntN(5))}})
		}
		on := map[string]bool{}
		for _, row := range r.front() {
			on[row.Policy] = true
		}
		for _, a := range r.Policies {
			beaten := false
			for _, b := range r.Policies {
				beaten = beaten || b.ActiveBytes <= a.ActiveBytes && b.Total.Perplexity <= a.Total.Perplexity &&
					(b.ActiveBytes < a.ActiveBytes || b.Total.Perplexity < a.Total.Perplexity)
			}
			if on[a.Policy] && beaten {
				t.Fatalf("%s is beaten: %+v", a.Policy, r.Policies)
			}
		}
		if len(on) == 0 {
			t.Fatal("no front")
		}
	}
}

func TestSeveral(t *testing.T) {
	for n, want := range map[int]string{0: "0 tokens", 1: "1 token", 999: "999 tokens", 1000: "1,000 tokens", 1234567: "1,234,567 tokens"} {
		if got := several(n, "token"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// TestShown: one policy that is far worse than all counts is named, and does not flatten the others.
func TestShown(t *testing.T) {
	r := Report{Policies: []Row{{Policy: "1", Count: 1, Total: Figures{Perplexity: 1.5}}, {Policy: "mask", Total: Figures{Perplexity: 2.2}}, {Policy: "random", Total: Figures{Perplexity: 140}}}}
	rows, left := r.shown()
	if len(rows) != 2 || left != "; off the scale: random (140)" {
		t.Errorf("%d shown, %q", len(rows), left)
	}
	r.Policies = r.Policies[1:]
	if rows, left := r.shown(); len(rows) != 1 || left != "; off the scale: random (140)" {
		t.Errorf("%d shown, %q", len(rows), left)
	}
}
