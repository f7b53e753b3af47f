package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tinyModel writes a model that is measured in no time.
func tinyModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	troupe(t, "", "new", "-q", "--out", dir, "--num-layers", "2", "--emb-size", "32", "--key-size", "8", "--num-q-heads", "4",
		"--num-kv-heads", "2", "--num-experts", "3", "--vocab-size", "100", "--sequence-len", "40").ok(t)
	return dir
}

// TestBench looks at keys and plausibility of a measurement, not at speeds.
func TestBench(t *testing.T) {
	long(t)
	dir := tinyModel(t)
	o := troupe(t, "", "bench", "-m", dir, "--json", "--reps", "1", "--n-gen", "4", "--threads", "1", "--threads-prefill", "2",
		"--compare", "exact", "--kernels", "cpu/generic").ok(t)
	var r struct {
		Prefill  map[string]float64 `json:"prefill_tokens_per_second"`
		Decode   map[string]float64 `json:"decode_tokens_per_second"`
		Read     map[string]float64 `json:"read_bandwidth"`
		Active   int64              `json:"active_bytes_per_token"`
		Ratio    float64            `json:"decode_bandwidth_ratio"`
		Peak     float64            `json:"multiply_peak_ratio"`
		Threads  int                `json:"threads"`
		Prefills int                `json:"threads_prefill"`
		Arith    string             `json:"arith"`
		Kernels  string             `json:"kernels"`
		Prompt   int                `json:"prompt_tokens"`
		Compared []struct {
			Arith   string             `json:"arith"`
			Speedup map[string]float64 `json:"decode_speedup"`
		} `json:"compared_with"`
	}
	if err := json.Unmarshal([]byte(o.out), &r); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]map[string]float64{"prefill": r.Prefill, "decode": r.Decode, "bandwidth": r.Read} {
		if len(s) != 3 || !(0 < s["min"] && s["min"] <= s["median"] && s["median"] <= s["max"]) {
			t.Errorf("%s: %v", name, s)
		}
	}
	if r.Active <= 0 || r.Ratio <= 0 || r.Peak <= 0 || r.Threads != 1 || r.Prefills != 2 || r.Arith != "int8" || r.Kernels != "cpu/generic" || r.Prompt != 35 {
		t.Errorf("%+v", r)
	}
	if len(r.Compared) != 1 || r.Compared[0].Arith != "exact" || r.Compared[0].Speedup["median"] <= 0 {
		t.Errorf("compared: %+v", r.Compared)
	}
	table := troupe(t, "", "bench", "-m", dir, "-q", "--reps", "1", "--n-gen", "2", "--streams", "2", "--n-prompt", "9", "--devices", "cpu:1,cpu:1/2", "--compare", "ref").ok(t)
	for _, want := range []string{"9 tokens of prompt, 2 new ones, 2 streams", "2 threads (3 for prefill)", "\nPrefill, tokens/s ", "\nDecode / memory ", "\nattend ", "\nref, int8, 2 threads", "\nSpeed over that of "} {
		if !strings.Contains(table.out, want) {
			t.Errorf("no %q in %s", want, table.out)
		}
	}
	for line := range strings.Lines(table.out) {
		if len([]rune(line)) > 81 {
			t.Errorf("%d columns: %s", len([]rune(line))-1, line)
		}
	}
}

// TestBenchPreset: the weights of a preset are gone afterwards, also when the measurement is stopped.
func TestBenchPreset(t *testing.T) {
	long(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	troupe(t, "", "bench", "--preset", "demo", "-q", "--reps", "1", "--n-gen", "1", "--n-prompt", "2").ok(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	if o := troupeContext(ctx, "", "bench", "--preset", "demo"); o.code != exitFailed || !strings.Contains(o.err, "cancelled") {
		t.Errorf("stopped: exit %d: %s%s", o.code, o.out, o.err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBenchRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--reps 0":                     "--reps: 0, want 1 to",
		"--streams 3 --max-batch 2":    "--streams: 3, and --max-batch lets 2 run at a time",
		"--n-prompt 1000 --n-gen 1000": "the context has 1024",
		"--n-gen 1024":                 "the context has 1024",
		"--compare nothing":            `--compare: neither an arithmetic (exact, int8, reference) nor kernels: kernels: library "nothing" unknown`,
		"--preset nothing":             `--preset: model: preset "nothing" unknown`,
		"--preset demo --model x":      "--model and --preset: give one of them",
		"--trace x":                    "unknown flag --trace",
		"extra":                        `unexpected argument "extra"`,
	} {
		if o := troupe(t, "", append([]string{"bench"}, strings.Fields(args)...)...); o.code != exitUsage || !strings.Contains(o.err, want) || o.out != "" {
			t.Errorf("%s: exit %d: %s, want %q", args, o.code, o.err, want)
		}
	}
}

// TestThreads: the number of threads changes nothing but speed.
func TestThreads(t *testing.T) {
	var want string
	for i, flags := range []string{"", "--threads 1", "--threads 3 --threads-prefill 1", "--devices cpu:1/2,cpu:2"} {
		args := append([]string{"run", "-q", "--ids", "--max-tokens", "5", "--temperature", "0", "--tokens", "571,1996,361,5,6,7,8"}, strings.Fields(flags)...)
		o := troupe(t, "", args...).ok(t)
		if i == 0 {
			want = o.out
		}
		if o.out != want {
			t.Errorf("%s: %s, want %s", flags, o.out, want)
		}
	}
}
