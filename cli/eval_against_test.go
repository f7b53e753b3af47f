package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeTexts makes a file for eval.
func writeTexts(t *testing.T, texts ...string) string {
	t.Helper()
	var b strings.Builder
	for i, text := range texts {
		if err := writeJSON(&b, map[string]any{"text": text, "domain": map[bool]string{true: "tales", false: "other"}[i == 0]}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "texts.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEvalAgainst compares what is reported with what the logits of both arithmetics give.
func TestEvalAgainst(t *testing.T) {
	texts := []string{"Tale: The Lost Lantern\n\nEveryone in the village", "Sums: Addition\n\n7 + 8 = 15", "", "x"}
	file := writeTexts(t, texts...)
	r := evalOf(t, "--text", file, "--arith", "int8", "--against", "exact")
	if r.Arith != "int8" || r.Against != "exact" || r.Incomplete > 0 || len(r.Documents) != len(texts) {
		t.Fatalf("%+v", r)
	}
	for arith, got := range map[string]loss{"int8": r.Total, "exact": {Loss: r.Total.Compared.Loss, Perplexity: r.Total.Compared.Perplexity, Tokens: r.Total.Tokens}} {
		alone := evalOf(t, "--text", file, "--arith", arith)
		if want := alone.Total; got.Tokens != want.Tokens || math.Abs(got.Loss-want.Loss) > 1e-6 || math.Abs(got.Perplexity-want.Perplexity) > 1e-5 {
			t.Errorf("%s: %+v, alone %+v", arith, got, want)
		}
		if alone.Against != "" || alone.Total.Compared != nil {
			t.Errorf("%s: compared with nothing: %+v", arith, alone)
		}
	}
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := dir.tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	var all []float64
	same := 0
	for i, text := range texts {
		ids := append(tok.Encode(text), 2)
		if len(ids) < 2 {
			continue
		}
		p := logitsOf(t, "--arith", "exact", "--tokens", formatIDs(ids)).Float32
		q := logitsOf(t, "--arith", "int8", "--tokens", formatIDs(ids)).Float32
		sum, most := 0.0, 0.0
		for at := range ids[1:] {
			a, b := p[at*2048:][:2048], q[at*2048:][:2048]
			kl, lnA, lnB := 0.0, logProb(a, 0)-float64(a[0]), logProb(b, 0)-float64(b[0])
			for id := range a {
				lnP, lnQ := lnA+float64(a[id]), lnB+float64(b[id])
				kl += math.Exp(lnP) * (lnP - lnQ)
			}
			if slices.Index(a, slices.Max(a)) == slices.Index(b, slices.Max(b)) {
				same++
			}
			all, sum, most = append(all, kl), sum+kl, max(most, kl)
		}
		c := r.Documents[i].Compared
		if math.Abs(c.KLMean-sum/float64(len(ids)-1)) > 1e-10 || math.Abs(c.KLMax-most) > 1e-10 {
			t.Errorf("document %d: KL %v, at most %v; want %v, %v", i, c.KLMean, c.KLMax, sum/float64(len(ids)-1), most)
		}
	}
	slices.Sort(all)
	c := r.Total.Compared
	if !(c.KLMean > 0 && c.KLMean < 0.01 && c.KLMedian < c.KLP99 && c.KLP99 <= c.KLMax) {
		t.Errorf("int8 against exact: %+v", c)
	}
	if math.Abs(c.KLMedian-all[(len(all)+1)/2-1]) > 1e-10 || math.Abs(c.KLMax-all[len(all)-1]) > 1e-10 || math.Abs(c.Top1Agreement-float64(same)/float64(len(all))) > 1e-12 {
		t.Errorf("total %+v, want median %v, most %v, %d of %d the same", c, all[(len(all)+1)/2-1], all[len(all)-1], same, len(all))
	}
	if tales := r.Domains["tales"].Compared; tales.KLMean != r.Documents[0].Compared.KLMean || tales.KLP99 != r.Documents[0].Compared.KLP99 {
		t.Errorf("domain %+v, its document %+v", tales, r.Documents[0].Compared)
	}
}

// TestEvalAgainstItself finds no difference at all.
func TestEvalAgainstItself(t *testing.T) {
	file := writeTexts(t, "Tale: The Lost Lantern", "Sums: Addition\n\n7 + 8 = 15")
	for _, arith := range []string{"exact", "reference"} {
		r := evalOf(t, "--text", file, "--arith", arith, "--against", arith)
		if c := r.Total.Compared; c.KLMax != 0 || c.Top1Agreement != 1 || c.Loss != r.Total.Loss || r.Total.Tokens < 10 {
			t.Errorf("%s: %+v, %+v", arith, r.Total, c)
		}
	}
	o := troupe(t, "", "eval", "--text", file, "--against", "exact").ok(t)
	for line := range strings.Lines(o.out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(o.out, "Top-1") || !strings.Contains(o.err, "of int8 from exact") {
		t.Errorf("%s%s", o.out, o.err)
	}
	if o := troupe(t, "", "eval", "--text", file, "--against", "best"); o.code != exitUsage || !strings.Contains(o.err, "--against") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
