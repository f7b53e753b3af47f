package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"troupe/lab/tune"
)

// quickly are flags that keep a search short.
var quickly = []string{"--arith", "exact", "--max-count", "3", "--evaluations", "5", "--random", "2"}

// The search is the same in any number of stages, keeps to the budget, and its figures are those of eval.
func TestTune(t *testing.T) {
	long(t)
	texts, file := sampleTexts(t, 6, 60), filepath.Join(t.TempDir(), "tuned.txt")
	args := append([]string{"experts", "tune", "--budget", "1.5", "--text", texts}, quickly...)
	r := lines[tuned](t, alike(t, append(args, "--json")...))[0]
	sum := 0
	for _, k := range r.Counts {
		sum += k
	}
	if sum > 9 || slices.Min(r.Counts) < 1 || slices.Max(r.Counts) > 3 || len(r.Evaluated) != 5 || len(r.Random) != 2 || r.Budget != 1.5 {
		t.Errorf("%+v", r)
	}
	want, _, err := tune.Cheapest(r.Sensitivities, 9)
	if err != nil || !slices.Equal(r.Additive, want) {
		t.Errorf("additive %v, want %v: %v", r.Additive, want, err)
	}
	for l, costs := range r.Sensitivities {
		if len(costs) != 3 || costs[1] != 0 || costs[0] <= 0 {
			t.Errorf("layer %d: sensitivities %v", l, costs)
		}
	}
	for i, e := range r.Evaluated {
		if e.Loss < r.Evaluated[0].Loss {
			t.Errorf("assignment %d is better than the one chosen: %+v", i, e)
		}
	}
	for _, h := range r.HeldOut {
		if h.Name == "line" {
			continue
		}
		if e := evalHeldOut(t, texts, "--experts", h.Experts); math.Abs(e.Total.Loss-h.Loss) > 1e-6 {
			t.Errorf("%s: loss %v, eval has %v", h.Name, h.Loss, e.Total.Loss)
		}
	}
	if last := r.HeldOut[len(r.HeldOut)-1]; last.Name != "line" || math.Abs(last.ExpertsPerToken-1.5) > 1e-9 {
		t.Errorf("%+v, want the line between uniform counts", last)
	}
	if o := troupe(t, "", append(args, "--out", file, "--plots", filepath.Dir(file))...).ok(t); strings.Contains(o.out, r.Policy) || !strings.Contains(o.out, "random, worst") {
		t.Errorf("table: %s", o.out)
	}
	for _, name := range []string{"sensitivities.png", "sensitivities.svg"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(file), name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e := evalHeldOut(t, texts, "--experts", "@"+file); e.Experts != r.Policy {
		t.Errorf("the file holds %s, want %s", e.Experts, r.Policy)
	}
}

// A search that was cut short goes on where it was and ends as one that was not; other texts are refused.
func TestTuneGoesOn(t *testing.T) {
	long(t)
	texts, kept := sampleTexts(t, 6, 60), filepath.Join(t.TempDir(), "kept.jsonl")
	args := append([]string{"experts", "tune", "--budget", "1.5", "--text", texts, "--json", "--journal", kept}, quickly...)
	whole := troupe(t, "", args...).ok(t)
	raw, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(string(raw), "\n")
	cut := strings.Join(all[:len(all)/2], "")
	if err := os.WriteFile(kept, []byte(cut+all[len(all)/2][:20]), 0o644); err != nil {
		t.Fatal(err)
	}
	again := troupe(t, "", args...).ok(t)
	if again.out != whole.out || !strings.Contains(again.err, fmt.Sprintf("%d measurements are there", len(all)/2-1)) {
		t.Errorf("gone on: %s%s\nwhole: %s", again.out, again.err, whole.out)
	}
	if raw, err := os.ReadFile(kept); err != nil || strings.Count(string(raw), "\n") != len(all)-1 {
		t.Errorf("%d lines, want %d: %v", strings.Count(string(raw), "\n"), len(all)-1, err)
	}
	other := slices.Clone(args)
	other[5] = sampleTexts(t, 6, 50)
	if o := troupe(t, "", other...); o.code != exitFailed || !strings.Contains(o.err, "calibration texts") || !strings.Contains(o.err, "--restart") {
		t.Errorf("other texts: exit %d: %s", o.code, o.err)
	}
}

// Without measuring, sensitivities come from one pass over the text, or from random inputs.
func TestTuneBy(t *testing.T) {
	long(t)
	texts := sampleTexts(t, 6, 60)
	for _, by := range []string{"loss", "output", "lexi"} {
		args := append([]string{"experts", "tune", "--budget", "1.4", "--by", by, "--text", texts, "--json"}, quickly...)
		o := troupe(t, "", args...).ok(t)
		r := lines[tuned](t, o.out)[0]
		if r.By != by || len(r.Sensitivities) != 6 || !strings.Contains(o.err, "8 experts for 6 layers") || math.Abs(r.Budget-8./6) > 1e-9 {
			t.Errorf("%s: %+v, %s", by, r, o.err)
		}
		for l, costs := range r.Sensitivities {
			if costs[1] != 0 || by != "loss" && !(costs[0] > 0 && costs[2] > 0 && costs[0] < 2) {
				t.Errorf("%s: layer %d: %v", by, l, costs)
			}
		}
	}
}
