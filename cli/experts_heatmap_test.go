package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"troupe/lab/trace"
)

// recorded routing of two texts of different domains.
func recordedRouting(t *testing.T, args ...string) string {
	t.Helper()
	file := writeTexts(t, "Tale: The Lost Lantern\n\nEveryone in the village", "Sums: Addition\n\n7 + 8 = 15, 15 + 4 = 19")
	out := filepath.Join(t.TempDir(), "x.routing")
	troupe(t, "", append([]string{"experts", "trace", "--show", "0", "--text", file, "--out", out}, args...)...).ok(t)
	return out
}

func heatOfFile(t *testing.T, args ...string) (r heatReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(troupe(t, "", append([]string{"experts", "heatmap", "--json"}, args...)...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// What the maps say is what a recount of the same file in JSON says.
func TestHeatmapCounts(t *testing.T) {
	file := recordedRouting(t, "--experts", "0-2:2;3-5:top-p:0.6")
	docs := lines[routingDoc](t, troupe(t, "", "experts", "trace", "--in", file, "--json").ok(t).out)
	r := heatOfFile(t, file, "--by", "domain", "--top-tokens", "3", "--layer", "0,5")
	if len(docs) != 2 || len(r.Maps) != 2 || r.Maps[0].Domain != "tales" || r.Maps[1].Domain != "other" || len(r.Layers) != 2 || r.Texts != 2 {
		t.Fatalf("%d documents, %+v", len(docs), r)
	}
	for i, l := range []int{0, 5} {
		used, first, gate, pairs := make([]int64, 8), make([]int64, 8), make([]float64, 8), 0.
		seen := map[int32]int64{}
		for k, d := range docs {
			shares, all := make([]float64, 8), 0.
			for _, row := range d.Rows {
				seen[d.Tokens[row.Position]]++
				first[row.Experts[l][0]]++
				for rank, e := range row.Experts[l] {
					used[e]++
					gate[e] += float64(row.Gates[l][rank])
					shares[e]++
					all++
				}
			}
			pairs += all
			for e, s := range shares {
				if got := *r.Maps[k].Values[i][e]; math.Abs(got-s/all) > 1e-12 {
					t.Errorf("%s, layer %d, expert %d: share %v, want %v", d.Domain, l, e, got, s/all)
				}
			}
		}
		got := r.Layers[i]
		if got.Layer != l || !slices.Equal(got.Used, used) || !slices.Equal(got.First, first) || math.Abs(got.ExpertsPerToken-pairs/float64(got.Tokens)) > 1e-12 {
			t.Errorf("layer %d: %+v, want %v, %v", l, got, used, first)
		}
		for e := range gate {
			if math.Abs(got.Gate[e]-gate[e]) > 1e-6 {
				t.Errorf("layer %d, expert %d: gates of %v, want %v", l, e, got.Gate[e], gate[e])
			}
		}
		for _, top := range r.TopTokens {
			if want := float64(seen[top.Token]) * float64(used[top.Expert]) / float64(got.Tokens); top.Layer == l && (top.Seen != seen[top.Token] || math.Abs(top.Expected-want) > 1e-9 || float64(top.Used) <= want) {
				t.Errorf("%+v, want %d of it, %v expected", top, seen[top.Token], want)
			}
		}
	}
	if len(r.TopTokens) < 16 {
		t.Errorf("%d top tokens", len(r.TopTokens))
	}
	// the same from the engine, at once
	texts := writeTexts(t, "Tale: The Lost Lantern\n\nEveryone in the village", "Sums: Addition\n\n7 + 8 = 15, 15 + 4 = 19")
	if now := heatOfFile(t, "--text", texts, "--experts", "0-2:2;3-5:top-p:0.6", "--layer", "0,5"); !slices.Equal(now.Layers[1].Used, r.Layers[1].Used) {
		t.Errorf("at once: %v, want %v", now.Layers[1].Used, r.Layers[1].Used)
	}
	// and twice as much of the file given twice
	if twice := heatOfFile(t, file, file); twice.Layers[0].Tokens != 2*r.Layers[0].Tokens || twice.Texts != 4 {
		t.Errorf("twice: %+v", twice.Layers[0])
	}
}

func TestHeatmapForms(t *testing.T) {
	file := recordedRouting(t)
	dir := t.TempDir()
	for _, what := range whats {
		png, svg, table := filepath.Join(dir, what+".png"), filepath.Join(dir, what+".svg"), filepath.Join(dir, what+".csv")
		o := troupe(t, "", "experts", "heatmap", file, "--what", what, "--layer", "1,2", "--png", png, "--svg", svg, "--csv", table).ok(t)
		for line := range strings.Lines(o.out) {
			if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
				t.Errorf("%s: %q is wider than 80 columns", what, line)
			}
		}
		raw, err := os.ReadFile(png)
		if err != nil || !strings.HasPrefix(string(raw), "\x89PNG") {
			t.Errorf("%s: %v, %.10q", png, err, raw)
		}
		f, err := os.Open(svg)
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(f)
		for err == nil {
			_, err = d.Token()
		}
		if f.Close(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", svg, err)
		}
		raw, err = os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{true: 2*8 + 1, false: 2*8*8 + 1}[slices.Contains([]string{"share", "gate", "first"}, what)] // with a heading
		if what == "lift" {
			want = 2*2*8 + 1 // two domains
		}
		if n := strings.Count(string(raw), "\n"); n != want {
			t.Errorf("%s: %d lines, want %d", table, n, want)
		}
		if out := troupe(t, "", "experts", "heatmap", file, "--what", what, "--layer", "1,2", "--csv", "-").ok(t).out; out != string(raw) {
			t.Errorf("%s: another one on standard output", table)
		}
	}
	out := troupe(t, "", "experts", "heatmap", file, "--top-tokens", "2").ok(t).out
	if !strings.Contains(out, "Layer 5: tokens most above expectation") || strings.Count(out, "×") < 8 {
		t.Error(out)
	}
}

// A model with many experts comes in blocks of columns.
func TestHeatmapOfManyExperts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.routing")
	w, err := trace.Create(file, trace.Header{NumLayers: 2, NumExperts: 64})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out := troupe(t, "", "experts", "heatmap", file).ok(t).out
	if n := strings.Count(out, "layer "); n != 8 { // of nine columns each
		t.Errorf("%d blocks:\n%s", n, out)
	}
	for line := range strings.Lines(out) {
		if len(line) > 81 {
			t.Errorf("%q is wider than 80 columns", line)
		}
	}
}

func TestHeatmapUsage(t *testing.T) {
	file := recordedRouting(t)
	small := filepath.Join(t.TempDir(), "small.routing")
	w, err := trace.Create(small, trace.Header{NumLayers: 1, NumExperts: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Add(&trace.Doc{ID: "0"}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"heatmap -m gone", exitFailed, "gone: no such file"},
		{"heatmap --text x.txt " + file, exitUsage, "give one of them"},
		{"heatmap --what shares " + file, exitUsage, "did you mean share?"},
		{"heatmap --what jaccard --by domain " + file, exitUsage, "leave --by domain out"},
		{"heatmap --by layer " + file, exitUsage, "want domain"},
		{"heatmap --what lift " + small, exitUsage, "no domains"},
		{"heatmap --top-tokens -1 " + file, exitUsage, "want 0 to 1000"},
		{"heatmap " + file + " " + small, exitFailed, "1 layers of 2 experts, want 6 of 8"},
		{"heatmap gone.routing", exitFailed, "no such file"},
		{"diff " + file, exitUsage, "1 arguments, want two files"},
		{"diff --top -1 a b", exitUsage, "--top: -1"},
		{"diff " + file + " " + small, exitFailed, "6 layers of 8 experts against 1 of 2"},
		{"diff " + file + " gone.routing", exitFailed, "no such file"},
	} {
		if o := troupe(t, "", append([]string{"experts"}, strings.Fields(c.args)...)...); o.code != c.code || !strings.Contains(o.err, c.want) {
			t.Errorf("%s: exit %d, %s, want %d, %s", c.args, o.code, o.err, c.code, c.want)
		}
	}
}

func diffOf(t *testing.T, args ...string) (r diffReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(troupe(t, "", append([]string{"experts", "diff", "--json"}, args...)...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDiffOfRuns(t *testing.T) {
	two, one := recordedRouting(t), recordedRouting(t, "--experts", "0:1;1-5:2")
	same := diffOf(t, two, two)
	for _, l := range same.Layers {
		if l.TotalVariation != 0 || l.JensenShannon != 0 || l.Changed != 0 || l.Moved != 0 || l.Tokens < 30 {
			t.Errorf("against itself: %+v", l)
		}
	}
	if len(same.Most) != 0 || same.Documents != 2 || same.Alike != 2 {
		t.Errorf("against itself: %+v", same)
	}
	r := diffOf(t, two, one, "--top", "3")
	if l := r.Layers[0]; l.Changed != 1 || l.FirstChanged != 0 || l.TotalVariation <= 0 || l.Moved <= 0 { // what comes in is the same there
		t.Errorf("one expert less in layer 0: %+v", l)
	}
	if len(r.Most) != 3 || r.Most[0].Moved < r.Most[2].Moved || r.Most[0].Text == "" || r.Most[0].Layers < 1 {
		t.Errorf("%+v", r.Most)
	}
	out := troupe(t, "", "experts", "diff", two, one, "--png", filepath.Join(t.TempDir(), "x.png")).ok(t)
	for _, want := range []string{"percentage points", "100.00 %", "Tokens that changed most", "["} {
		if !strings.Contains(out.out, want) {
			t.Errorf("no %q in\n%s", want, out.out)
		}
	}
	if table := troupe(t, "", "experts", "diff", two, one, "--csv", "-").ok(t).out; strings.Count(table, "\n") != 6*8+1 {
		t.Error(table)
	}
	other := filepath.Join(t.TempDir(), "other.routing")
	troupe(t, "", "experts", "trace", "--show", "0", "--out", other, "Recipe: Tea").ok(t)
	o := troupe(t, "", "experts", "diff", two, other).ok(t)
	if !strings.Contains(o.err, "1 documents are in both, 0 with the same tokens") || strings.Contains(o.out, "Tokens that changed most") {
		t.Errorf("%s%s", o.out, o.err)
	}
}
