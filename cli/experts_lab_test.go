package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sampleTexts writes the beginnings of some of the demo's held-out texts, from all over them.
func sampleTexts(t *testing.T, documents, letters int) string {
	t.Helper()
	raw, err := os.ReadFile("../model/demo/testdata/reference/heldout.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	for i := range documents {
		var d struct {
			Text   string `json:"text"`
			Domain string `json:"domain"`
		}
		if err := json.Unmarshal(all[i*(len(all)-1)/(documents-1)], &d); err != nil {
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
	raw, err := os.ReadFile(texts)
	if err != nil {
		t.Fatal(err)
	}
	var held strings.Builder
	for i, line := range strings.SplitAfter(string(raw), "\n") {
		if i%2 == 1 {
			held.WriteString(line)
		}
	}
	odd := filepath.Join(t.TempDir(), "odd.jsonl")
	if err := os.WriteFile(odd, []byte(held.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	e := lines[evalReport](t, troupe(t, "", "eval", "--text", odd, "--arith", "exact", "--experts", "@"+file, "--json").ok(t).out)[0]
	if diff := e.Total.Loss - r.Calibrated.Loss; e.Experts != r.Policy || diff > 1e-12 || diff < -1e-12 {
		t.Errorf("eval: %s, loss %v, want %s, %v", e.Experts, e.Total.Loss, r.Policy, r.Calibrated.Loss)
	}
	table := troupe(t, "", args[:6]...).ok(t)
	if !strings.Contains(table.out, "calibrated") || !strings.HasSuffix(table.out, r.Policy+"\n") && !strings.Contains(table.out, "threshold:") {
		t.Errorf("table: %s", table.out)
	}
}

func TestExperimentsRefuse(t *testing.T) {
	texts := sampleTexts(t, 4, 60)
	one := filepath.Join(t.TempDir(), "one.txt")
	if err := os.WriteFile(one, []byte("Once."), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		blame string
	}{
		{[]string{"calibrate"}, "--text: no file"},
		{[]string{"calibrate", "--text", one}, "single document"},
		{[]string{"calibrate", "--text", texts, "--quantile", "1.5"}, "1.5, want 0 to 1"},
		{[]string{"calibrate", "--text", texts, "--limit-tokens", "0"}, "limit-tokens"},
	} {
		if o := troupe(t, "", append([]string{"experts"}, c.args...)...); o.code != exitUsage || !strings.Contains(o.err, c.blame) {
			t.Errorf("%v: exit %d: %s, want %q", c.args, o.code, o.err, c.blame)
		}
	}
}
