package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"troupe/lab"
	"troupe/lab/sweep"
	"troupe/model/demo"
)

func sweepArgs(text, out string, more ...string) []string {
	return append([]string{"experts", "sweep", "--text", text, "--out", out, "--counts", "1-3", "--experts", "top-p:0.6", "--reps", "1", "--n-prompt", "6", "--n-gen", "4"}, more...)
}

func sweepReport(t *testing.T, raw string) sweep.Report {
	t.Helper()
	var r sweep.Report
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		t.Fatalf("%v: %.200s", err, raw)
	}
	return r
}

// withoutSpeeds is a report without what no two runs share.
func withoutSpeeds(t *testing.T, r sweep.Report) string {
	t.Helper()
	for i := range r.Policies {
		p := &r.Policies[i]
		if p.Decode == nil || p.Decode.Median <= 0 || p.Prefill.Median <= 0 {
			t.Errorf("%s: speeds %v, %v", p.Policy, p.Prefill, p.Decode)
		}
		p.Prefill, p.Decode, p.Speedup = nil, nil, 0
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSweep runs one, interrupts another, and goes on with it.
func TestSweep(t *testing.T) {
	texts := writeTexts(t, "Tale: The Lost Lantern\n\nEveryone in the village", "Sums: Addition\n\n7 + 8 = 15", "x", "Recipe: Two eggs and 30 g of sugar")
	dir := filepath.Join(t.TempDir(), "a", "b")
	o := troupe(t, "", sweepArgs(texts, dir)...).ok(t)
	for _, want := range []string{"top-p:0.6", "2 *", "Perplexity   tales  other", "100.00"} {
		if !strings.Contains(o.out, want) {
			t.Errorf("no %q in\n%s", want, o.out)
		}
	}
	if strings.Contains(o.out+o.err, "\x1b") || !strings.Contains(o.err, "bootstrap") && !strings.Contains(o.err, "95 %") {
		t.Errorf("%s", o.err)
	}
	for line := range strings.Lines(o.out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 96 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, name := range []string{"quality", "change", "domains", "speed", "bytes"} {
		for _, kind := range []string{".png", ".svg"} {
			if raw, err := os.ReadFile(filepath.Join(dir, name+kind)); err != nil || len(raw) < 2000 {
				t.Errorf("%s%s: %d bytes, %v", name, kind, len(raw), err)
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "sweep.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll(); err != nil || len(rows) != 1+4*3 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, "sweep.json")); err != nil {
		t.Fatal(err)
	}
	first := sweepReport(t, string(raw))
	if first.Kernels == "" || first.Devices == "" || first.Identity == "" || first.Model != "the embedded demo" || len(first.Texts) != 1 {
		t.Errorf("%+v", first)
	}
	want := withoutSpeeds(t, first)

	again := troupe(t, "", sweepArgs(texts, dir, "--json")...).ok(t)
	if got := withoutSpeeds(t, sweepReport(t, again.out)); got != want || !strings.Contains(again.err, "20 of 20 measurements are there") {
		t.Errorf("again: %s%s\nwant %s", again.err, got, want)
	}
	other := troupe(t, "", sweepArgs(texts, dir, "--arith", "exact")...)
	if other.code != exitFailed || !strings.Contains(other.err, "was measured with arith int8, and now it is arith exact") || !strings.Contains(other.err, "--restart") {
		t.Errorf("other settings: exit %d: %s", other.code, other.err)
	}
	exact := troupe(t, "", sweepArgs(texts, dir, "--arith", "exact", "--restart", "--json", "--stages", "2", "--max-batch", "3", "--streams", "2")...).ok(t)
	if r := sweepReport(t, exact.out); r.Arith != "exact" || r.Streams != 2 {
		t.Errorf("restarted: %+v", r)
	}
	var interrupted string
	var stopped outcome
	for range 20 { // one that was over before it could be stopped shows nothing
		interrupted = filepath.Join(t.TempDir(), "interrupted")
		if stopped = stopSweep(t, interrupted, sweepArgs(texts, interrupted)); stopped.code != exitOK {
			break
		}
	}
	if stopped.code != exitFailed || stopped.out != "" || !strings.Contains(stopped.err, "the same command goes on from there") {
		t.Errorf("interrupted: exit %d: %s%s", stopped.code, stopped.out, stopped.err)
	}
	resumed := troupe(t, "", sweepArgs(texts, interrupted, "--json")...).ok(t)
	if got := withoutSpeeds(t, sweepReport(t, resumed.out)); got != want {
		t.Errorf("resumed:\n%s\nwant\n%s", got, want)
	}
}

// stopSweep runs one until some measurements are there.
func stopSweep(t *testing.T, dir string, args []string) outcome {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			raw, _ := os.ReadFile(filepath.Join(dir, "measurements.jsonl"))
			if strings.Count(string(raw), "\n") > 1 {
				cancel(errInterrupted)
			}
			time.Sleep(200 * time.Microsecond)
		}
	}()
	return troupeContext(ctx, "", args...)
}

// TestSweepRefuses mistakes before anything runs, and leaves nothing behind.
func TestSweepRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"text\":\"one\"}\n{\"text\":7}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	good := writeTexts(t, "Tale: The Lost Lantern")
	for args, want := range map[string]string{
		"--text " + bad:                     "bad.jsonl: line 2: ",
		"--text " + good + " --text " + bad: "bad.jsonl: line 2: ",
		"-m ../model/demo":                  "--text: no file",
		"--counts 0-2":                      `--counts: "0-2", want counts from 1 to 8`,
		"--counts 3,9":                      `--counts: "9"`,
		"--counts x":                        `--counts: "x"`,
		"--experts best":                    "troupe help experts",
		"--reps -1":                         "--reps: -1, want 0 to",
		"--streams 0":                       "--streams: 0, want 1 to",
		"--streams 9":                       "--streams: 9, and --max-batch lets 8 run",
		"--limit-tokens 0":                  "--limit-tokens: 0",
		"--n-prompt 600 --n-gen 600":        "at most the context of",
		"--kl-memory 0":                     "--kl-memory: 0",
		"--text " + writeTexts(t, "") + " --no-eos": "without a token to judge",
	} {
		dir := filepath.Join(t.TempDir(), "none")
		o := troupe(t, "", append([]string{"experts", "sweep", "--out", dir}, strings.Fields(args)...)...)
		if o.code == exitOK || !strings.Contains(o.err, want) {
			t.Errorf("%s: exit %d: %s", args, o.code, o.err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: %s was made", args, dir)
		}
	}
	none := troupe(t, "", "experts", "sweep", "--text", good, "--out", filepath.Join(bad, "out"))
	if none.code != exitFailed || !strings.Contains(none.err, "bad.jsonl") {
		t.Errorf("a folder below a file: exit %d: %s", none.code, none.err)
	}
}

// TestSweepAgainstReference: the first documents of each domain have the losses that an independent implementation
// has recorded, for 1, 2, 4 and 8 experts.
func TestSweepAgainstReference(t *testing.T) {
	long(t)
	raw, err := os.ReadFile("../model/demo/testdata/reference/heldout_documents.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []map[string]any
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	o := troupe(t, "", "experts", "sweep", "--out", t.TempDir(), "--limit-tokens", "1300", "--counts", "1,2,4,8", "--reps", "0", "--arith", "exact", "--json", "-q").ok(t)
	r := sweepReport(t, o.out)
	if len(r.Policies) != 4 || len(r.Domains) != 7 || r.Documents < 7 || r.Documents > 10 || r.Policies[0].Decode != nil {
		t.Fatalf("%d policies, %d domains, %d documents", len(r.Policies), len(r.Domains), r.Documents)
	}
	for _, p := range r.Policies {
		want := map[string]lab.Quality{}
		for i := range r.Documents {
			of := recorded[i]
			q := lab.Quality{Tokens: int(of["tokens"].(float64)), Loss: of[fmt.Sprint("top-", p.Policy)].(float64)}
			for _, name := range []string{"", of["domain"].(string)} {
				sum := want[name]
				sum.Add(q)
				want[name] = sum
			}
		}
		for name, q := range want {
			got := p.Total
			if name != "" {
				got = p.Domains[name]
			}
			if got.Tokens != q.Tokens || math.Abs(got.Perplexity/q.Perplexity()-1) > 0.001 {
				t.Errorf("experts %s, %s: %d tokens, perplexity %v, recorded %d, %v", p.Policy, name, got.Tokens, got.Perplexity, q.Tokens, q.Perplexity())
			}
		}
	}
}

// TestHeldOut: what the program carries is what the reference figures are about.
func TestHeldOut(t *testing.T) {
	long(t)
	list, err := documentLines(strings.NewReader(demo.HeldOut()))
	if err != nil || len(list) != 200 {
		t.Fatalf("%d documents, %v", len(list), err)
	}
	o := troupe(t, "", "eval", "-q", "--experts", "1", "--json").ok(t)
	var r evalReport
	if err := json.NewDecoder(bufio.NewReader(strings.NewReader(o.out))).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Total.Tokens != 37118 || math.Abs(r.Total.Perplexity/1.415318-1) > 0.001 {
		t.Errorf("%+v", r.Total)
	}
}

func TestReadCounts(t *testing.T) {
	for _, c := range []struct {
		list              string
		experts, selected int
		want              string
	}{
		{"", 4, 2, "[1 2 3 4]"}, {"", 16, 2, "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16]"}, {"", 60, 6, "[1 2 4 6 8 16 32 60]"},
		{"none", 8, 2, "[]"}, {"4, 1-2,2", 8, 2, "[1 2 4]"},
	} {
		if got, err := readCounts(c.list, c.experts, c.selected); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%q of %d: %v, %v, want %s", c.list, c.experts, got, err, c.want)
		}
	}
	var list []lab.Document
	for i := range 12 {
		list = append(list, lab.Document{Name: fmt.Sprint(i), Domain: []string{"a", "b"}[i/6], IDs: make([]int32, 11)})
	}
	for most, want := range map[int]string{1: "[0]", 20: "[0 6]", 21: "[0 1 6]", 1000: "[0 1 2 3 4 5 6 7 8 9 10 11]"} {
		var got []string
		for _, d := range firstOfEach(list, most) {
			got = append(got, d.Name)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%d tokens: %v, want %s", most, got, want)
		}
	}
}
