package actors

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

var errBroken = errors.New("out of memory: use a smaller batch")

// marked is the token that makes a hooked kernel fail.
const marked = 66

// holds reports whether a batch has a row of the token.
func holds(f *kernels.Frame, token int32) bool {
	for _, t := range f.Rows.Token[:f.Rows.N] {
		if t == token {
			return true
		}
	}
	return false
}

// two stages on two devices, each prompt of 8 a batch of its own.
var pipeline = layout{stages: 2, devices: 2, threads: 1, spread: true, batches: 3, rows: 8, sequences: 4}

func simple(prompt []int32, n int) sched.Request {
	return sched.Request{Prompt: prompt, MaxTokens: n, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1}
}

// A kernel's error fails the requests of its batch, says where it happened, and nothing else suffers.
func TestKernelErrorFailsItsBatch(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	good, bad := text(1, 8), append(text(2, 7), marked)
	for _, tt := range []struct {
		name  string
		fails func(s kernels.Segment, f *kernels.Frame) bool // a frame of an expert has no rows
		want  string
	}{
		{"first stage", func(s kernels.Segment, f *kernels.Frame) bool { return has(s, kernels.Embed) && holds(f, marked) }, "stage of layers 0 to 0: segment 0: batch "},
		{"second stage", func(s kernels.Segment, f *kernels.Frame) bool {
			return has(s, kernels.Route) && s.Calls[0].Layer == 1 && holds(f, marked)
		}, "stage of layers 1 to 2: segment 0: batch "},
		{"head", func(s kernels.Segment, f *kernels.Frame) bool { return has(s, kernels.Head) && holds(f, marked) }, "stage of layers 1 to 2: segment 2: batch "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
				if f.Rows.N > 0 && tt.fails(s, f) {
					return errBroken
				}
				return nil
			})
			e := start(t, pipeline.options(t, w, kernels.Int8, "hooked"))
			got := serve(t, e, []sched.Request{simple(good, 6), simple(bad, 6), simple(text(3, 8), 6)})
			if got[1].finish != "failed" || !errors.Is(got[1].err, errBroken) || !strings.Contains(got[1].err.Error(), tt.want) {
				t.Errorf("finish %q, error %v, want failed, with %q", got[1].finish, got[1].err, tt.want)
			}
			for _, i := range []int{0, 2} {
				if got[i].finish != "length" || len(got[i].tokens) != 6 {
					t.Errorf("request %d: %q after %d tokens, want length after 6", i, got[i].finish, len(got[i].tokens))
				}
			}
			hook.Store(nil)
			if again := serve(t, e, []sched.Request{simple(good, 6)}); again[0].finish != "length" {
				t.Errorf("a request after the error: %q, %v", again[0].finish, again[0].err)
			}
			atHome(t, e)
		})
	}
}

// When several experts of a batch fail, all parts come in, and the first by number is reported.
func TestExpertErrorFailsItsBatch(t *testing.T) {
	setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
		if has(s, kernels.Expert) && s.Calls[0].Layer == 1 {
			return errBroken
		}
		return nil
	})
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked"))
	r := simple(text(1, 8), 6)
	r.Policy = router.Uniform(5)
	for range 3 {
		got := serve(t, e, []sched.Request{r})[0]
		if got.finish != "failed" || !errors.Is(got.err, errBroken) || !strings.HasPrefix(got.err.Error(), "expert 0 of layer 1: batch ") {
			t.Errorf("finish %q, error %v, want failed, from expert 0 of layer 1", got.finish, got.err)
		}
	}
	atHome(t, e)
}

// atHome checks that credits and cache blocks have come back.
func atHome(t *testing.T, e *Engine) {
	t.Helper()
	s, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !e.binder.ledger.idle() {
		t.Error("the ledger has batches on their way")
	}
	if s.Sched.InFlight != 0 || s.Sched.Cache.Lent != 0 {
		t.Errorf("%d batches in flight, %d cache blocks lent, want none", s.Sched.InFlight, s.Sched.Cache.Lent)
	}
}

// A panic of the head is a bug that nobody mends: the engine fails what is open, says why, refuses the rest, and can
// still be stopped.
func TestPanicOfTheHeadEndsService(t *testing.T) {
	g := newGate(t, kernels.Head, 0)
	e := start(t, pipeline.options(t, toy.Weights(toy.Config(), toy.Int8, 1), kernels.Int8, "hooked"))
	s, err := e.Submit(t.Context(), simple(text(1, 8), 6))
	if err != nil {
		t.Fatal(err)
	}
	<-g.arrived
	e.tell(&die{})
	if o := collect(s); o.finish != "failed" || !strings.Contains(o.err.Error(), "head: panic: ") {
		t.Errorf("finish %q, error %v, want failed by the panic", o.finish, o.err)
	}
	close(g.open)
	if _, err := e.Submit(t.Context(), simple(text(3, 8), 6)); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a request after the panic: error %v, want the panic's", err)
	}
	if _, err := e.Stats(t.Context()); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("stats after the panic: error %v, want the panic's", err)
	}
}

// A row that is not finite fails its own request; its neighbours in the same batch keep their bits.
func TestRowThatIsNotFinite(t *testing.T) {
	c := toy.Config()
	w := toy.Weights(c, toy.Int8, 1)
	embedding := w[model.Embedding][0].F
	for i := range c.Model.EmbSize {
		embedding[marked*c.Model.EmbSize+i] = float32(math.NaN())
	}
	// Every logit of the head is a dot with an embedding: keep the marked token's finite where it is drawn from.
	head := *w[model.Embedding][0]
	head.F = append([]float32(nil), embedding...)
	clear(head.F[marked*c.Model.EmbSize:])
	good, bad := simple(text(1, 4), 8), simple([]int32{5, marked, 9}, 8)
	l := plain
	l.sequences, l.rows = 4, 16
	o := l.options(t, w, kernels.Int8, "hooked")
	setHook(t, func(s kernels.Segment, f *kernels.Frame) error {
		for i := range s.Calls {
			if s.Calls[i].Op == kernels.Head {
				s.Calls[i].Weights[0] = &head
			}
		}
		return nil
	})
	e := start(t, o)
	alone := serve(t, e, []sched.Request{good})
	got := serve(t, e, []sched.Request{good, bad, good})
	if got[1].finish != "failed" || got[1].err == nil || !strings.Contains(got[1].err.Error(), "NaN") {
		t.Errorf("finish %q, error %v, want failed, with NaN", got[1].finish, got[1].err)
	}
	compare(t, []outcome{got[0], got[2]}, []outcome{alone[0], alone[0]})
}

func TestStartFails(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	t.Run("a weight is missing", func(t *testing.T) {
		few := stages.Weights{}
		for name, list := range w {
			if !strings.Contains(name, "decoder_layer_2/moe/linear_v") {
				few[name] = list
			}
		}
		_, err := Start(t.Context(), pipeline.options(t, few, kernels.Int8, "ref"))
		if err == nil || !strings.Contains(err.Error(), "decoder_layer_2/moe/linear_v/w") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line that names the weight", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Start(ctx, pipeline.options(t, w, kernels.Int8, "ref")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
	t.Run("limits", func(t *testing.T) {
		o := pipeline.options(t, w, kernels.Int8, "ref")
		o.Sched.Rows = 0
		if _, err := Start(t.Context(), o); err == nil {
			t.Error("no error for batches without rows")
		}
	})
}
