package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"troupe/actors"
	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toyOptions measures a toy on so many devices under the arithmetics.
func toyOptions(t *testing.T, devices string, streams int, ariths ...kernels.Arith) Options {
	t.Helper()
	c := toy.Config()
	o := Options{Model: c, Weights: toy.Weights(c, toy.Int8, 1), Policy: router.Uniform(2), Prompt: 20, Generate: 10,
		Streams: streams, Repetitions: 2, ProbeTime: time.Millisecond, ProbeBytes: 4 << 20}
	list, err := place.ParseDevices(devices)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := place.Make(c, list, place.Options{})
	if err != nil {
		t.Fatal(err)
	}
	limits := sched.Config{Rows: 8, Draws: streams, Sequences: streams, Queue: streams, Blocks: streams * 4}
	for _, a := range ariths {
		o.Subjects = append(o.Subjects, Subject{Kernels: "ref", Variant: "ref", Arith: a, Threads: kernels.SameThreads(1), Devices: len(list),
			Start: func(ctx context.Context, trace actors.Trace, wrap stages.Wrap) (*actors.Engine, error) {
				return actors.Start(ctx, actors.Options{Model: c, Weights: o.Weights, Placement: plan, Arith: a, Sched: limits,
					Trace: trace, Wrap: wrap, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			}})
	}
	return o
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		devices string
		streams int
	}{{"cpu:1", 1}, {"cpu:1", 3}, {"cpu:1,cpu:1", 2}} {
		o := toyOptions(t, test.devices, test.streams, kernels.Int8, kernels.Exact)
		ticks := 0
		o.Progress = func(done, all int) {
			if ticks++; done != ticks || all != 6 {
				t.Errorf("progress %d of %d, want %d of 6", done, all, ticks)
			}
		}
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Incomplete || ticks != 6 || len(r.Compared) != 1 || len(r.Rounds) != 2 || r.Arith != "int8" || r.Compared[0].Arith != "exact" {
			t.Errorf("%+v, %d ticks", r, ticks)
		}
		for _, result := range []Result{r.Result, r.Compared[0].Result} {
			checkResult(t, &result, test.devices == "cpu:1" && test.streams == 1)
		}
		for _, s := range []Stat{r.Compared[0].PrefillSpeedup, r.Compared[0].DecodeSpeedup} {
			checkStat(t, "speedup", s)
		}
	}
}

func checkResult(t *testing.T, r *Result, one bool) {
	t.Helper()
	checkStat(t, "prefill", r.Prefill)
	checkStat(t, "decode", r.Decode)
	checkStat(t, "bandwidth", r.ReadBandwidth)
	checkStat(t, "peak", r.MultiplyPeak)
	if r.DecodeRatio <= 0 || r.PrefillRatio <= 0 || r.ActiveBytes <= 0 || r.MACs <= 0 || r.MultiplyUnit == "" || one && r.MatmulRatio <= 0 {
		t.Errorf("%+v", r)
	}
	if !one && len(r.Ops) == 0 {
		return // these streams are so short that the engine may not have been held in time
	}
	var names []string
	decode, prefill := 0.0, 0.0
	for _, op := range r.Ops {
		names = append(names, op.Op)
		decode, prefill = decode+op.DecodeShare, prefill+op.PrefillShare
	}
	want := []string{"embed", "rmsnorm", "linear", "rope", "attend", "route", "expert", "combine", "add", "head", "other"}
	if !slices.Equal(names, want) {
		t.Errorf("ops %v, want %v", names, want)
	}
	if one && (decode < 0.99 || decode > 1.2 || prefill < 0.99 || prefill > 1.2) {
		t.Errorf("shares add up to %g and %g, want about 1", decode, prefill)
	}
}

func checkStat(t *testing.T, name string, s Stat) {
	t.Helper()
	if !(0 < s.Min && s.Min <= s.Median && s.Median <= s.Max && s.Max < 1e15) {
		t.Errorf("%s: %+v", name, s)
	}
}

// TestStopped: what has been measured before the end of the context is reported.
func TestStopped(t *testing.T) {
	o := toyOptions(t, "cpu:1", 1, kernels.Exact)
	o.Repetitions = 1000
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Progress = func(done, _ int) {
		if done == 2 {
			cancel(why)
		}
	}
	r, err := Run(ctx, o)
	if !errors.Is(err, why) || r == nil || !r.Incomplete || len(r.Rounds) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := Run(ctx, o); r != nil || !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("from the beginning: %+v, %v", r, err)
	}
}

// TestJSON: these keys are a promise.
func TestJSON(t *testing.T) {
	raw, err := json.Marshal(Report{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"prefill_tokens_per_second", "decode_tokens_per_second", "read_bandwidth", "active_bytes_per_token",
		"decode_bandwidth_ratio", "multiply_peak_ratio", "threads", "arith", "kernels"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no key %s in %s", key, raw)
		}
	}
	if m, ok := got["decode_tokens_per_second"].(map[string]any); !ok || len(m) != 3 {
		t.Errorf("decode: %v, want median, min and max", got["decode_tokens_per_second"])
	}
}

// TestCost counts by hand what a token of the toy reads: every weight but the experts that it does not use.
func TestCost(t *testing.T) {
	c := toy.Config()
	w := toy.Weights(c, toy.Int8, 1)
	n := costOf(c, w, router.Uniform(2), kernels.Exact)
	all, embedding := int64(0), int64(4*c.VocabSize*c.Model.EmbSize)
	for name, list := range w {
		for i, one := range list {
			if i < 2 { // the one weight there is, or those of two experts
				all += weightBytes(one)
			}
		}
		if len(list) != 1 && len(list) != 5 {
			t.Fatalf("%s: %d weights", name, len(list))
		}
	}
	row := embedding / int64(c.VocabSize)
	cache := int64(2 * 4 * c.Model.NumLayers * c.Model.NumKVHeads * c.Model.KeySize)
	if got, want := n.active(1, float64(n.pairs), 10), all+row+10*cache; got != want {
		t.Errorf("a token reads %d bytes, want %d", got, want)
	}
	if got, want := n.active(2, float64(n.pairs), 0), (all+row)/2; got != want {
		t.Errorf("a token of two rows reads %d bytes, want %d", got, want)
	}
	d, f, q, kv := int64(24), int64(c.Model.FFNSize()), int64(36), int64(18)
	if want := 3 * (d*q + 2*d*kv + q*d + 2*3*d*f); n.macs != want || !n.int8 {
		t.Errorf("%d multiply-adds, int8 %v, want %d", n.macs, n.int8, want)
	}
	if costOf(c, toy.Weights(c, toy.Float32, 1), router.Uniform(2), kernels.Int8).int8 {
		t.Error("float32 weights count as int8")
	}
}

func TestStat(t *testing.T) {
	for _, test := range []struct {
		in   []float64
		want Stat
	}{{nil, Stat{}}, {[]float64{3}, Stat{3, 3, 3}}, {[]float64{4, 1, 2}, Stat{2, 1, 4}}, {[]float64{4, 1, 2, 9}, Stat{3, 1, 9}}} {
		if got := StatOf(test.in); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.in, got, test.want)
		}
	}
	a, b := Round{Decode: 1}, Round{Decode: 2, Noisy: true}
	if got := quiet([]Round{a, b, a}); len(got) != 2 {
		t.Errorf("%v, want the quiet rounds", got)
	}
	if got := quiet([]Round{b, b, a}); len(got) != 3 {
		t.Errorf("%v, want all: most are noisy", got)
	}
}
