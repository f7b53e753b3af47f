package stages_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// bent is kernels/ref, with something done after each call.
type bent struct {
	kernels.Library
	name string
}

var (
	// bend is done to a frame behind each segment of the library; its error is the kernel's.
	bend    func(library string, s kernels.Segment, f *kernels.Frame) error
	closed  []string // libraries, in order
	compile int      // how often anything was compiled
	loose   = map[string]bool{}
	idle    = map[string]bool{} // write nothing
	forgets = map[string]bool{} // store no keys
)

func init() {
	for _, name := range []string{"bent/a", "bent/b", "bent/c"} {
		kernels.Register(kernels.Variant{
			Name: name, Doc: "ref that a test bends", Score: func() int { return 1 },
			Open: func(t kernels.Threads) (kernels.Library, error) {
				ref, err := kernels.Find("ref")
				if err != nil {
					return nil, err
				}
				inner, err := ref.Open(t)
				return bent{inner, name}, err
			},
		})
	}
}

func (l bent) Info() kernels.Info {
	info := l.Library.Info()
	if info.Name = l.name; loose[l.name] {
		info.Promise = kernels.Close
	}
	return info
}

func (l bent) Close() error {
	closed = append(closed, l.name)
	return l.Library.Close()
}

func (l bent) Compile(s kernels.Segment) (kernels.Kernel, error) {
	compile++
	k, err := l.Library.Compile(s)
	return bentKernel{k, s, l.name}, err
}

type bentKernel struct {
	kernels.Kernel
	segment kernels.Segment
	name    string
}

func (k bentKernel) Run(f *kernels.Frame) error {
	if idle[k.name] {
		return nil
	}
	if forgets[k.name] && has(k.segment, kernels.Attend) {
		for i := range f.Cache.Layers {
			defer copy(f.Cache.Layers[i].K32, slices.Clone(f.Cache.Layers[i].K32))
		}
	}
	if err := k.Kernel.Run(f); err != nil || bend == nil {
		return err
	}
	return bend(k.name, k.segment, f)
}

// whole is a toy on one device, with its reports.
type whole struct {
	t       *testing.T
	plan    model.Plan
	libs    *stages.Libraries
	stage   *stages.Stage
	experts *stages.Experts
	batch   *stages.Batch
	reports []stages.Report
	now     int64
	seen    []float32 // parts and probabilities on the way, and the logits, of the last run
}

func newWhole(t *testing.T, binding string, arith kernels.Arith) *whole {
	t.Helper()
	bend, closed, compile = nil, nil, 0
	clear(loose)
	clear(idle)
	clear(forgets)
	c := toy.Config()
	w := &whole{t: t, plan: model.NewPlan(c), libs: stages.OpenLibraries(arith, bound(t, binding), kernels.SameThreads(1))}
	w.libs.Limits = stages.Limits{Rows: 20, Draws: 3, Sequences: 2, Experts: 5}
	weights := toy.Weights(c, toy.Int8, 1)
	var err error
	if w.stage, err = stages.NewStage(c, w.plan, stages.Span{Hi: c.Model.NumLayers}, weights, w.libs, stages.CacheSize{Blocks: 4, Half: stages.HalfCache(arith)}, nil); err != nil {
		t.Fatal(err)
	}
	w.experts = stages.NewExperts(w.plan)
	for l := range c.Model.NumLayers {
		for e := range c.Model.NumExperts {
			if err := w.experts.Add(l, e, weights, w.libs); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.batch, err = stages.NewBatch(w.plan, w.libs.Limits); err != nil {
		t.Fatal(err)
	}
	w.libs.Programs().Tell = func(r stages.Report) { w.reports = append(w.reports, r) }
	w.libs.Programs().Clock = func() int64 { w.now++; return w.now }
	t.Cleanup(func() {
		for _, err := range []error{w.batch.Close(), w.stage.Close(), w.libs.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		bend = nil
	})
	return w
}

func bound(t *testing.T, s string) kernels.Binding {
	t.Helper()
	b, err := kernels.ParseBinding(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// install compiles bindings as a generation.
func (w *whole) install(generation uint64, b stages.Bindings) *stages.Program {
	w.t.Helper()
	p, err := w.libs.Compile(generation, b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.libs.Programs().Install(p)
	return p
}

// run takes a prompt of 17 tokens through the model and returns its logits.
func (w *whole) run(generation uint64) (logits []float32, err error) {
	return w.batchOf(generation+1, generation)
}

func (w *whole) batchOf(id, generation uint64) (logits []float32, err error) {
	b := w.batch
	b.Reset(id, generation)
	b.AddSequence([]int32{2, 1}, nil, router.Uniform(2))
	addPrompt(b)
	return w.forward()
}

// addPrompt adds 17 tokens to sequence 0, and draws behind the last two.
func addPrompt(b *stages.Batch) {
	for i := range 17 {
		b.AddRow(0, stages.Row{Token: int32(3 + i*i%50), Pos: int32(i), Prompt: true})
		if i > 14 {
			b.AddDraw(stages.Draw{Kind: stages.Logits})
		}
	}
}

// next takes one more token, which sees all keys and values that run has stored.
func (w *whole) next(generation uint64) []float32 {
	w.t.Helper()
	b := w.batch
	b.Reset(generation+1, generation)
	b.AddSequence([]int32{2, 1}, nil, router.Uniform(2))
	b.AddRow(0, stages.Row{Token: 44, Pos: 17})
	b.AddDraw(stages.Draw{Kind: stages.Logits})
	logits, err := w.forward()
	if err != nil {
		w.t.Fatal(err)
	}
	return logits
}

func (w *whole) forward() (logits []float32, err error) {
	w.t.Helper()
	b := w.batch
	b.Seal()
	w.seen = w.seen[:0]
	for {
		layer, done, err := w.stage.Advance(b)
		if err != nil {
			return nil, err
		}
		if done {
			for _, d := range b.Drawn {
				logits = append(logits, d.Logits...)
			}
			w.seen = append(w.seen, logits...)
			return logits, nil
		}
		groups, err := b.Route(w.plan.Probs, layer)
		if err != nil {
			return nil, err
		}
		w.seen = append(w.seen, b.Frame.Bufs[w.plan.Probs]...)
		for _, g := range groups {
			if err := w.experts.Run(b, layer, int(g.Expert), stages.WorkOf(g)); err != nil {
				return nil, err
			}
		}
		w.seen = append(w.seen, b.Frame.Bufs[w.plan.Parts]...)
	}
}

// must is run, and the same bits as want.
func (w *whole) must(generation uint64, want []float32) []float32 {
	w.t.Helper()
	got, err := w.run(generation)
	if err != nil {
		w.t.Fatal(err)
	}
	if want != nil && !sameBits(got, want) {
		w.t.Error("the logits are others")
	}
	return got
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// flip turns the sign of one element of what an op of a layer has written.
func flip(library string, op kernels.Op, layer, slot, element int) func(string, kernels.Segment, *kernels.Frame) error {
	return func(name string, s kernels.Segment, f *kernels.Frame) error {
		for i := range s.Calls {
			if c := &s.Calls[i]; name == library && c.Op == op && c.Layer == layer && len(c.Out) > slot && len(f.Bufs[c.Out[slot]]) > element {
				f.Bufs[c.Out[slot]][element] *= -1
			}
		}
		return nil
	}
}

// An op without rows has been compared with nothing: it is not covered.
func TestNothingIsNoComparison(t *testing.T) {
	w := newWhole(t, "ref", kernels.Int8)
	trial := bound(t, "head=bent/a")
	w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial})
	b := w.batch
	b.Reset(1, 1)
	b.AddSequence([]int32{2, 1}, nil, router.Uniform(2))
	b.AddRow(0, stages.Row{Token: 3, Prompt: true})
	if _, err := w.forward(); err != nil {
		t.Fatal(err)
	}
	if tally := w.libs.Programs().Tally(1); tally.Covered() {
		t.Errorf("tally %+v: a head without draws counts as compared", tally)
	}
	w.must(1, nil)
	if tally := w.libs.Programs().Tally(1); !tally.Covered() {
		t.Errorf("tally %+v: want the head compared", tally)
	}
}

// A library on trial that computes the same is compared everywhere, and nothing of the run changes.
func TestTrialThatAgrees(t *testing.T) {
	for _, arith := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
		w := newWhole(t, "ref", arith)
		want := w.must(0, nil)
		trial := bound(t, "bent/a")
		w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial})
		w.must(1, want)
		tally := w.libs.Programs().Tally(1)
		if len(w.reports) > 0 || tally.Failed || !tally.Covered() || tally.Worst.Relative != 0 || tally.Experts != 15 || tally.ExpertsSeen < 5 || tally.Old <= 0 || tally.New <= 0 {
			t.Errorf("%v: reports %v, tally %+v: want everything compared and equal", arith, w.reports, tally)
		}
		for op := range kernels.NumOps {
			if !tally.Changed[op] || tally.Compared[op] == 0 {
				t.Errorf("%v: %v has not been compared", arith, op)
			}
		}
	}
}

// Whatever a library on trial does, it is found, and what serves is served: also the keys and values in the cache.
func TestTrialThatDiffers(t *testing.T) {
	oops := errors.New("oops")
	for _, tt := range []struct {
		name string
		bend func(string, kernels.Segment, *kernels.Frame) error
		want string // of the difference, or of the error
	}{
		{"sign of an output", flip("bent/a", kernels.Linear, 1, 2, 18*2+5), "linear layer 1 row 2 element 5: got "},
		{"sign in an op that others follow", flip("bent/a", kernels.RMSNorm, 2, 0, 24*3), "rmsnorm layer 2 row 3 element 0: got "},
		{"head", flip("bent/a", kernels.Head, -1, 0, 67+4), "head row 16 element 4: got "},
		{"nothing written", func(name string, s kernels.Segment, f *kernels.Frame) error {
			for _, c := range s.Calls {
				if name == "bent/a" && c.Op == kernels.Expert {
					for _, dst := range f.Work.Dst {
						for i := range 24 {
							f.Bufs[c.Out[0]][int(dst)*24+i] = float32(math.NaN())
						}
					}
				}
			}
			return nil
		}, "expert layer 0 expert "},
		{"keys", func(name string, s kernels.Segment, f *kernels.Frame) error {
			for _, c := range s.Calls {
				if name == "bent/a" && c.Op == kernels.Attend && c.Layer == 1 {
					f.Cache.Layers[1].K16[2*f.Cache.BlockSize()+3*kernels.BlockTokens+7] ^= 0x8000 // block 2 is the first: position 7
				}
			}
			return nil
		}, "attend layer 1 keys row 7 element 3: got "},
		{"values of a row in the second block", func(name string, s kernels.Segment, f *kernels.Frame) error {
			for _, c := range s.Calls {
				if name == "bent/a" && c.Op == kernels.Attend && c.Layer == 1 {
					f.Cache.Layers[1].V16[f.Cache.BlockSize()+kernels.BlockTokens*6+2] ^= 0x8000 // of head 1: elements from 6 on
				}
			}
			return nil
		}, "attend layer 1 values row 16 element 8: got "},
		{"error", func(name string, s kernels.Segment, f *kernels.Frame) error {
			if name == "bent/a" && s.Calls[0].Layer == 1 {
				return oops
			}
			return nil
		}, "oops"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWhole(t, "ref", kernels.Int8)
			want := w.must(0, nil)
			all, then := slices.Clone(w.seen), w.next(0)
			trial := bound(t, "bent/a")
			w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial})
			bend = tt.bend
			w.must(1, want)
			if !sameBits(w.seen, all) {
				t.Error("something on the way is not what serves")
			}
			if !sameBits(w.next(0), then) {
				t.Error("keys or values in the cache are not those of what serves")
			}
			if len(w.reports) != 1 {
				t.Fatalf("reports %v, want one: behind it nothing is compared", w.reports)
			}
			r := w.reports[0]
			said := r.Difference.String()
			if r.Err != nil {
				said = r.Err.Error()
			}
			if r.Library != "bent/a" || r.Role != stages.Trial || r.Generation != 1 || !strings.HasPrefix(said, tt.want) {
				t.Errorf("report %+v: %s, want %s", r, said, tt.want)
			}
			if !w.libs.Programs().Tally(1).Failed {
				t.Error("the tally does not say so")
			}
		})
	}
}

func has(s kernels.Segment, op kernels.Op) bool {
	return slices.ContainsFunc(s.Calls, func(c kernels.Call) bool { return c.Op == op })
}

// What a library on trial does not write is found, even where it wrote the right thing the last time.
func TestTrialThatDoesNotWrite(t *testing.T) {
	for what, lazy := range map[string]map[string]bool{"head row ": idle, "attend layer 0 keys row ": forgets} {
		w := newWhole(t, "ref", kernels.Exact)
		want := w.must(0, nil)
		trial := bound(t, "ref,attend=bent/a")
		if strings.HasPrefix(what, "head") { // whose slot nobody else writes
			trial = bound(t, "ref,head=bent/a")
		}
		w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial})
		w.must(1, want)
		lazy["bent/a"] = true
		w.must(1, want)
		if len(w.reports) != 1 || !strings.HasPrefix(w.reports[0].Difference.String(), what) {
			t.Errorf("reports %v, want a difference at %s", w.reports, what)
		}
	}
}

// A library that promises to be close may differ within the bound, and no further.
func TestTrialThatIsClose(t *testing.T) {
	for _, tt := range []struct {
		part float32
		ok   bool
	}{{1e-3, true}, {3e-2, false}} {
		t.Run(fmt.Sprint(tt.part), func(t *testing.T) {
			w := newWhole(t, "ref", kernels.Int8)
			loose["bent/a"] = true
			trial := bound(t, "ref,expert=bent/a")
			w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial})
			bend = func(name string, s kernels.Segment, f *kernels.Frame) error {
				if name != "bent/a" {
					return nil
				}
				out := f.Bufs[s.Calls[0].Out[0]]
				for _, dst := range f.Work.Dst {
					for i := range 24 {
						out[int(dst)*24+i] *= 1 + tt.part
					}
				}
				return nil
			}
			w.must(1, nil)
			tally := w.libs.Programs().Tally(1)
			if tally.Failed == tt.ok || (len(w.reports) == 0) != tt.ok {
				t.Errorf("tally %+v, reports %v: want ok %v", tally, w.reports, tt.ok)
			}
			if worst := tally.Worst; worst.Relative < float64(tt.part)/2 || worst.Relative > 2*float64(tt.part) || worst.Op != kernels.Expert {
				t.Errorf("worst %+v, want about %v at an expert", worst, tt.part)
			}
		})
	}
}

// A sampled batch on which the library that serves differs from the one before it goes on with what that one
// computes, keys and values too.
func TestVerifyMendsTheBatch(t *testing.T) {
	for name, b := range map[string]func(string, kernels.Segment, *kernels.Frame) error{
		"output": flip("bent/a", kernels.Add, 1, 0, 30),
		"expert": flip("bent/a", kernels.Expert, 1, 0, 30),
		"keys": func(name string, s kernels.Segment, f *kernels.Frame) error {
			for _, c := range s.Calls {
				if name == "bent/a" && c.Op == kernels.Attend && c.Layer == 1 {
					f.Cache.Layers[1].K32[2*f.Cache.BlockSize()+7] *= -3 // block 2 is the first: position 7
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWhole(t, "ref", kernels.Exact)
			want := w.must(0, nil)
			all, then := slices.Clone(w.seen), w.next(0)
			back := bound(t, "ref")
			w.install(1, stages.Bindings{Serve: bound(t, "bent/a"), Back: &back})
			w.install(2, stages.Bindings{Serve: bound(t, "bent/a"), Back: &back, Verify: 1})
			w.must(2, want)
			bend = b
			if w.must(1, nil); sameBits(w.next(0), then) {
				t.Fatal("unverified, the fault does not show: the test is blind")
			}
			w.must(2, want)
			if !sameBits(w.seen, all) {
				t.Error("something on the way is not what the earlier library computes")
			}
			if !sameBits(w.next(0), then) {
				t.Error("keys or values in the cache are not those of the earlier library")
			}
			if len(w.reports) != 1 || w.reports[0].Library != "bent/a" || w.reports[0].Role != stages.Serving || w.reports[0].Err != nil || w.reports[0].Difference.Layer != 1 {
				t.Errorf("reports %+v, want that bent/a differs in layer 1", w.reports)
			}
			w.must(1, want) // from the first difference on it is left alone
		})
	}
}

// Who fails is left alone, and those behind it compute the same calls; when nobody can, the batch fails.
func TestChain(t *testing.T) {
	w := newWhole(t, "ref", kernels.Int8)
	want := w.must(0, nil)
	back := bound(t, "bent/b")
	w.install(1, stages.Bindings{Serve: bound(t, "bent/a"), Back: &back})
	runs := map[string]int{}
	broken := map[string]bool{"bent/a": true}
	bend = func(name string, s kernels.Segment, f *kernels.Frame) error {
		if runs[name]++; broken[name] {
			return errors.New(name + " is broken")
		}
		return nil
	}
	w.must(1, want)
	if runs["bent/a"] != 1 || len(w.reports) != 1 || w.reports[0].Library != "bent/a" || w.reports[0].Role != stages.Serving || w.reports[0].Rescued != "bent/b" || w.reports[0].Lost <= 0 {
		t.Errorf("bent/a ran %d times, reports %+v: want one of each, rescued by bent/b", runs["bent/a"], w.reports)
	}
	broken["bent/b"] = true
	if _, err := w.run(1); err == nil || !strings.Contains(err.Error(), "stage of layers 0 to 2: segment 0: batch 2: bent/b is broken") {
		t.Errorf("error %v, want that of bent/b", err)
	}
	if w.reports = w.reports[1:]; len(w.reports) > 0 {
		t.Errorf("reports %+v of a batch that nobody could compute: it may be the batch", w.reports)
	}
	clear(broken)
	w.must(1, want) // who failed last is asked again
	counts := map[string]stages.Counters{}
	for _, c := range w.libs.Programs().Counters() {
		counts[c.Library] = c
	}
	if a, b := counts["bent/a"], counts["bent/b"]; !a.Failed || a.Launches != 0 || b.Failed || b.Launches == 0 || b.Rows == 0 {
		t.Errorf("counters %+v, %+v: want that only bent/b has served", a, b)
	}
}

// Kernels are shared between programs; a library is closed with the last program that uses it.
func TestProgramsShareKernels(t *testing.T) {
	w := newWhole(t, "bent/a", kernels.Int8)
	first := compile
	if first != 4+15 { // segments and experts
		t.Errorf("%d compilations for a model under one library, want one of each segment and expert", first)
	}
	trial := bound(t, "bent/a,attend@1=bent/b")
	shadowed := w.install(1, stages.Bindings{Serve: bound(t, "bent/a"), Trial: &trial})
	if n := compile - first; n != 4 { // of one segment: before the op, the op by both, behind it
		t.Errorf("%d compilations for one op, want 4", n)
	}
	before := compile
	serving := w.install(2, stages.Bindings{Serve: trial})
	if n := compile - before; n != 0 {
		t.Errorf("%d compilations for what had been on trial, want none", n)
	}
	back := w.install(3, stages.Bindings{Serve: bound(t, "bent/a")})
	for i, p := range []*stages.Program{shadowed, serving} {
		w.libs.Programs().Drop(p)
		if err := w.libs.Release(p); err != nil {
			t.Error(err)
		}
		if want := []string{"bent/b"}[:i]; !slices.Equal(closed, want) {
			t.Errorf("closed %v, want %v", closed, want)
		}
	}
	if _, err := w.run(2); err == nil || !strings.Contains(err.Error(), "BUG: no program of generation 2") {
		t.Errorf("error %v for a generation that is over", err)
	}
	w.must(back.Generation, nil)
	w.libs.Programs().Drop(back)
	if err := w.libs.Release(back); err != nil || len(closed) != 1 {
		t.Errorf("closed %v, error %v: generation 0 uses bent/a", closed, err)
	}
}

// What cannot be compiled leaves nothing behind.
func TestCompileFails(t *testing.T) {
	w := newWhole(t, "ref", kernels.Int8)
	bad := bound(t, "lame")
	_, err := w.libs.Compile(1, stages.Bindings{Serve: bound(t, "bent/a"), Trial: &bad})
	if !errors.Is(err, kernels.ErrNoKernel) || !strings.Contains(err.Error(), "lame") || !strings.Contains(err.Error(), "bind to it only") {
		t.Errorf("error %v, want that lame has no kernel, and the mend", err)
	}
	if !slices.Equal(closed, []string{"bent/a"}) {
		t.Errorf("closed %v, want what was opened for it", closed)
	}
	w.must(0, nil)
}

var _ = kernels.Register(kernels.Variant{
	Name: "lame", Doc: "has no kernels, for tests", Score: func() int { return 1 },
	Open: func(kernels.Threads) (kernels.Library, error) { return lame{}, nil },
})

type lame struct{}

func (lame) Info() kernels.Info { return kernels.Info{Name: "lame"} }
func (lame) Close() error       { return nil }
func (lame) Compile(kernels.Segment) (kernels.Kernel, error) {
	return nil, kernels.ErrNoKernel
}
