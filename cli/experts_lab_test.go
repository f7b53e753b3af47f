package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sampleTexts writes the beginnings of some of the demo's held-out texts, which have seven domains in turn.
func sampleTexts(t *testing.T, documents, letters int) string {
	t.Helper()
	raw, err := os.ReadFile("../model/demo/testdata/reference/heldout.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	for i := range documents { // of three domains, in turn
		var d struct {
			Text   string `json:"text"`
			Domain string `json:"domain"`
		}
		if err := json.Unmarshal(all[i/3*7+i%3], &d); err != nil {
			t.Fatal(err)
		}
		if r := []rune(d.Text); len(r) > letters {
			d.Text = string(r[:letters])
		}
		line, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(append(line, '\n'))
	}
	w.Flush()
	file := filepath.Join(t.TempDir(), "texts.jsonl")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// inStages are flags that cut model and texts in another way.
var inStages = []string{"--devices", "cpu:1,cpu:1,cpu:1", "--prefill-chunk", "7", "--max-batch", "3"}

// alike runs a command plainly and cut up, and wants the same output of both.
func alike(t *testing.T, args ...string) string {
	t.Helper()
	a := troupe(t, "", args...).ok(t)
	if b := troupe(t, "", append(args, inStages...)...).ok(t); a.out != b.out {
		t.Errorf("%v\nin one stage: %s\nin three: %s", args, a.out, b.out)
	}
	return a.out
}

func TestCalibrate(t *testing.T) {
	long(t)
	texts, file := sampleTexts(t, 8, 200), filepath.Join(t.TempDir(), "skip.txt")
	args := []string{"experts", "calibrate", "--text", texts, "--arith", "exact", "--out", file}
	r := lines[calibration](t, alike(t, append(args, "--json")...))[0]
	if r.Default.ExpertsPerToken != 2 || r.Calibrated.ExpertsPerToken < 1.3 || r.Calibrated.ExpertsPerToken > 1.7 || len(r.Layers) != 6 || r.Default.Tokens != r.Calibrated.Tokens {
		t.Errorf("%+v, want about 1.5 experts a token with the median", r)
	}
	for l, layer := range r.Layers {
		if !(layer.Threshold > 0 && layer.Threshold < 1) || layer.Below > 0.5 || layer.Below < 0.4 {
			t.Errorf("layer %d: %+v", l, layer)
		}
	}
	// The file is the policy, and eval of the held-out documents has the same loss under it.
	if e := evalHeldOut(t, texts, "--experts", "@"+file); e.Experts != r.Policy || math.Abs(e.Total.Loss-r.Calibrated.Loss) > 1e-12 {
		t.Errorf("eval: %s, loss %v, want %s, %v", e.Experts, e.Total.Loss, r.Policy, r.Calibrated.Loss)
	}
	table := troupe(t, "", args[:6]...).ok(t)
	if !strings.Contains(table.out, "calibrated") || !strings.HasSuffix(table.out, r.Policy+"\n") && !strings.Contains(table.out, "threshold:") {
		t.Errorf("table: %s", table.out)
	}
}

// evalHeldOut evaluates every other document of each domain.
func evalHeldOut(t *testing.T, texts string, args ...string) evalReport {
	t.Helper()
	raw, err := os.ReadFile(texts)
	if err != nil {
		t.Fatal(err)
	}
	var held strings.Builder
	seen := map[string]int{} // by domain
	for line := range strings.Lines(string(raw)) {
		d := lines[struct{ Domain string }](t, line)[0].Domain
		if seen[d]++; seen[d]%2 == 0 {
			held.WriteString(line)
		}
	}
	odd := filepath.Join(t.TempDir(), "odd.jsonl")
	if err := os.WriteFile(odd, []byte(held.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return lines[evalReport](t, troupe(t, "", append([]string{"eval", "--text", odd, "--arith", "exact", "--json"}, args...)...).ok(t).out)[0]
}

// Every method keeps as many experts as it is told, in any number of stages; the overlay is what was judged.
func TestPruneTo(t *testing.T) {
	long(t)
	texts := sampleTexts(t, 8, 150)
	file := filepath.Join(t.TempDir(), "pruned.json")
	kept := map[string]bool{}
	for _, by := range []string{"naee", "naee-direction", "naee-greedy", "reap", "ean", "frequency", "router"} {
		args := []string{"experts", "prune", "--to", "6", "--by", by, "--text", texts, "--arith", "exact", "--out", file}
		out := ""
		if by == "naee" {
			out = alike(t, append(args, "--json")...)
		} else {
			out = troupe(t, "", append(args, "--json")...).ok(t).out
		}
		r := lines[pruneReport](t, out)[0]
		for l, layer := range r.Layers {
			if len(layer.Kept) != 6 || len(layer.Dropped) != 2 || len(layer.Scores) != 8 || layer.Scores[layer.Kept[0]].EAN == 0 || (layer.Loss != nil) != strings.HasPrefix(by, "naee") {
				t.Errorf("%s: layer %d: %+v", by, l, layer)
			}
		}
		kept[fmt.Sprint(r.Layers[0].Kept, r.Layers[3].Kept, r.Layers[5].Kept)] = true
		before, after := evalHeldOut(t, texts), evalHeldOut(t, texts, "--overlay", file)
		if math.Abs(before.Total.Loss-r.Before.Loss) > 1e-12 || math.Abs(after.Total.Loss-r.After.Loss) > 1e-12 || r.After.Loss <= r.Before.Loss {
			t.Errorf("%s: loss %v and %v, eval has %v and %v", by, r.Before.Loss, r.After.Loss, before.Total.Loss, after.Total.Loss)
		}
		for name, d := range r.Domains {
			if math.Abs(after.Domains[name].Loss-d.After.Loss) > 1e-12 || d.Before.Tokens != after.Domains[name].Tokens {
				t.Errorf("%s: %s: %+v, eval has %+v", by, name, d.After, after.Domains[name])
			}
		}
		if r.Bytes.After >= r.Bytes.Before || len(r.Domains) < 3 {
			t.Errorf("%s: %+v, %d domains", by, r.Bytes, len(r.Domains))
		}
	}
	if len(kept) < 4 {
		t.Errorf("7 methods keep %d different sets", len(kept))
	}
	table := troupe(t, "", "experts", "prune", "--to", "2", "--by", "reap", "--text", texts, "--overlay", file).ok(t)
	if !strings.Contains(table.out, "total") || !strings.Contains(table.out, "weights") || !strings.Contains(table.err, "2 of 6 experts, after with 2 of 2") {
		t.Errorf("on top of an overlay: %s%s", table.out, table.err)
	}
}

func TestExperimentsRefuse(t *testing.T) {
	texts := sampleTexts(t, 4, 60)
	one := filepath.Join(t.TempDir(), "one.txt")
	if err := os.WriteFile(one, []byte("Once."), 0o644); err != nil {
		t.Fatal(err)
	}
	random := filepath.Join(t.TempDir(), "random")
	troupe(t, "", "new", "--out", random, "--num-layers", "1", "--emb-size", "64").ok(t)
	for _, c := range []struct {
		args  []string
		blame string
	}{
		{[]string{"calibrate", "--model", random}, "--text: no file"},
		{[]string{"calibrate", "--text", one}, "single document of each domain"},
		{[]string{"calibrate", "--text", texts, "--quantile", "1.5"}, "1.5, want 0 to 1"},
		{[]string{"calibrate", "--text", texts, "--limit-tokens", "0"}, "limit-tokens"},
		{[]string{"prune", "--out", "x"}, "--keep or --drop"},
		{[]string{"prune", "--to", "6", "--keep", "1"}, "one of them"},
		{[]string{"prune", "--keep", "1", "--by", "reap", "--out", "x"}, "--by goes with --to"},
		{[]string{"prune", "--to", "8", "--text", texts}, "8 of 8 experts, want 1 to 7"},
		{[]string{"prune", "--to", "6", "--by", "reep", "--text", texts}, "did you mean reap"},
		{[]string{"prune", "--to", "6", "--out", "-", "--text", texts}, "standard output has the tables"},
		{[]string{"tune", "--text", texts}, "--budget: none"},
		{[]string{"tune", "--text", texts, "--budget", "0.5"}, "0.5 experts a token and layer, want 1 to 8"},
		{[]string{"tune", "--text", texts, "--budget", "2", "--by", "kk"}, "did you mean kl"},
		{[]string{"tune", "--text", texts, "--budget", "2", "--evaluations", "-1"}, "-1, want 0 to"},
		{[]string{"tune", "--text", texts, "--budget", "2", "--max-count", "9"}, "max-count"},
	} {
		if o := troupe(t, "", append([]string{"experts"}, c.args...)...); o.code != exitUsage || !strings.Contains(o.err, c.blame) {
			t.Errorf("%v: exit %d: %s, want %q", c.args, o.code, o.err, c.blame)
		}
	}
}
