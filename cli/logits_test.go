package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"troupe/internal/npy"
)

const goldens = "../internal/golden/testdata/grok1"

// logitsOf runs the command.
func logitsOf(t *testing.T, args ...string) *npy.Array {
	t.Helper()
	out := filepath.Join(t.TempDir(), "logits.npy")
	troupe(t, "", append([]string{"logits", "-q", "--out", out}, args...)...).ok(t)
	a, err := npy.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(filepath.Dir(out)); len(files) != 1 {
		t.Errorf("%d files beside the result", len(files)-1)
	}
	return a
}

// TestLogits compares the files with what the reference has recorded, on checkpoints without a tokenizer.
func TestLogits(t *testing.T) {
	for _, c := range []struct{ name, tokens, logits string }{
		{"mini-g8", "p0_tokens", "p0_f32_logits"}, {"layers12", "p0_tokens", "p0_f32_logits"}, {"plain-f32-awkward", "p0_tokens", "p0_f32_logits"},
		{"mini-g8", "edge_left_pad_tokens", "edge_left_pad_logits"}, {"mini-g8", "edge_zero_inside_tokens", "edge_zero_inside_logits"},
	} {
		name, dir := c.name+" "+c.logits, filepath.Join(goldens, c.name)
		ids, err := npy.ReadFile(filepath.Join(dir, c.tokens+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := npy.ReadFile(filepath.Join(dir, c.logits+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		got := logitsOf(t, "-m", dir, "--arith", "exact", "--tokens", formatIDs(ids.Int32))
		if !slices.Equal(got.Shape, want.Shape) {
			t.Fatalf("%s: shape %v, want %v", name, got.Shape, want.Shape)
		}
		top, worst := 0.0, 0.0
		for i, w := range want.Float32 {
			top = max(top, math.Abs(float64(w)))
			worst = max(worst, math.Abs(float64(got.Float32[i]-w)))
		}
		if !(worst <= 1e-4*top) {
			t.Errorf("%s: differs by %g of the largest value", name, worst/top)
		}
		chunk := "3"
		if strings.Contains(c.tokens, "left_pad") {
			chunk = "64" // such a prompt runs in one batch
		}
		split := logitsOf(t, "-m", dir, "--arith", "exact", "--tokens", formatIDs(ids.Int32), "--prefill-chunk", chunk, "--kernels", "ref", "--placement", "spread")
		if !slices.Equal(split.Float32, got.Float32) {
			t.Errorf("%s: other bits in chunks of %s by the library ref", name, chunk)
		}
	}
}

// TestLogitsKeepsFiles leaves what was there when it fails.
func TestLogitsKeepsFiles(t *testing.T) {
	out := filepath.Join(t.TempDir(), "old.npy")
	if err := os.WriteFile(out, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := troupe(t, "", "logits", "-q", "-m", filepath.Join(goldens, "mini-g8"), "--tokens", "1,2,99999", "--out", out)
	if old, _ := os.ReadFile(out); o.code != exitFailed || string(old) != "old" {
		t.Errorf("exit %d, file %q", o.code, old)
	}
}

// evalOf runs the command with --json.
func evalOf(t *testing.T, args ...string) evalReport {
	t.Helper()
	var r evalReport
	if err := json.Unmarshal([]byte(troupe(t, "", append([]string{"eval", "-q", "--json"}, args...)...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEval compares losses with those that the logits of the same ids give.
func TestEval(t *testing.T) {
	texts := []string{"Tale: The Lost Lantern\n\nEveryone", "Sums: Addition\n\n7 + 8 = 15", "x", ""}
	file := filepath.Join(t.TempDir(), "texts.jsonl")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		domain := map[bool]string{true: "tales", false: "other"}[i == 0]
		if err := writeJSON(f, map[string]any{"text": text, "domain": domain, "source": "a test"}); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := dir.tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	r := evalOf(t, "--text", file, "--arith", "exact", "--experts", "3", "--max-batch", "2")
	total, tokens := 0.0, 0
	for i, text := range texts {
		sum, n := 0.0, 0
		if ids := append(tok.Encode(text), 2); len(ids) > 1 {
			logits := logitsOf(t, "--arith", "exact", "--experts", "3", "--tokens", formatIDs(ids))
			for at, id := range ids[1:] {
				sum -= logProb(logits.Float32[at*2048:][:2048], id)
				n++
			}
		}
		d := r.Documents[i]
		if d.Tokens != n || n > 0 && math.Abs(d.Loss-sum/float64(n)) > 1e-5 {
			t.Errorf("document %d: loss %v of %d, want %v of %d", i, d.Loss, d.Tokens, sum/float64(n), n)
		}
		total, tokens = total+sum, tokens+n
	}
	if r.Total.Tokens != tokens || math.Abs(r.Total.Loss-total/float64(tokens)) > 1e-5 || math.Abs(math.Log(r.Total.Perplexity)-r.Total.Loss) > 1e-9 {
		t.Errorf("total %+v, want loss %v of %d", r.Total, total/float64(tokens), tokens)
	}
	if tales := r.Domains["tales"]; tales.Tokens != r.Documents[0].Tokens || tales.Loss != r.Documents[0].Loss || len(r.Domains) != 2 {
		t.Errorf("domains %+v", r.Domains)
	}
	if short := evalOf(t, "--text", file, "--no-eos"); short.Total.Tokens != tokens-3 {
		t.Errorf("%d tokens without EOS, want one less for each document but the empty one: %d", short.Total.Tokens, tokens-3)
	}
}

// logProb is a log softmax in float64.
func logProb(logits []float32, id int32) float64 {
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - float64(logits[id]))
	}
	return -math.Log(sum)
}

// TestEvalText has a file as one document, and one that is too long.
func TestEvalText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text.txt")
	for n, want := range map[int]int{1: exitOK, 600: exitFailed} {
		text := ""
		for i := range n {
			text += fmt.Sprintln("Tale", i)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		o := troupe(t, "", "eval", "--text", file)
		if o.code != want {
			t.Errorf("%d lines: exit %d: %s", n, o.code, o.err)
		}
	}
	if err := os.WriteFile(file, []byte("\xff"), 0o644); err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "eval", "--text", file); o.code != exitFailed {
		t.Errorf("not UTF-8: exit %d: %s", o.code, o.err)
	}
}
