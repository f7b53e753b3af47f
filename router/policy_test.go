package router

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

var sizes = Sizes{Layers: 6, Experts: 8, Selected: 2}

func TestParse(t *testing.T) {
	tests := []struct {
		spec   string
		counts [6]int
		text   string
	}{
		{"2", [6]int{2, 2, 2, 2, 2, 2}, "2"},
		{" 8 ", [6]int{8, 8, 8, 8, 8, 8}, "8"},
		{"0-2:1,3-5:4", [6]int{1, 1, 1, 4, 4, 4}, "0-2:1,3-5:4"},
		{"3-5:4,0-2:1", [6]int{1, 1, 1, 4, 4, 4}, "0-2:1,3-5:4"},
		{"5:7", [6]int{2, 2, 2, 2, 2, 7}, "0-4:2,5:7"},
		{"0:1, 2:3, 4 - 4 : 5", [6]int{1, 2, 3, 2, 5, 2}, "0:1,1:2,2:3,3:2,4:5,5:2"},
		{"0-5:3", [6]int{3, 3, 3, 3, 3, 3}, "3"},
		{"1:2", [6]int{2, 2, 2, 2, 2, 2}, "2"},
	}
	for _, tt := range tests {
		p, err := Parse(tt.spec, sizes)
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		for l, want := range tt.counts {
			if got := p.Rule(l).Count; got != want {
				t.Errorf("%q: layer %d: %d experts, want %d", tt.spec, l, got, want)
			}
		}
		if got := p.String(); got != tt.text {
			t.Errorf("%q: String %q, want %q", tt.spec, got, tt.text)
		}
		if again, err := Parse(p.String(), sizes); err != nil || !again.Equal(p) {
			t.Errorf("%q: parsing its String gives %v, %v", tt.spec, again, err)
		}
	}
}

// Rules, and the text that they are written as.
func TestParseRules(t *testing.T) {
	tests := []struct {
		spec string
		rule Rule // of layer 0
		text string
	}{
		{"top-k:3", Rule{Count: 3}, "3"},
		{"all", Rule{Count: 8}, "8"},
		{"top-p:0.9", Rule{How: TopP, Share: 0.9}, "top-p:0.9"},
		{"top-p:0.9+max:4+min:2", Rule{How: TopP, Share: 0.9, Min: 2, Max: 4}, "top-p:0.9+min:2+max:4"},
		{" threshold : .10 ", Rule{How: Threshold, Share: 0.1}, "threshold:0.1"},
		{"mask:5,3", Rule{Count: 2, Mask: []int{3, 5}}, "2+mask:3,5"},
		{"mask:0,1,2,3,4,5,6", Rule{Count: 1, Mask: []int{0, 1, 2, 3, 4, 5, 6}}, "1+mask:0,1,2,3,4,5,6"},
		{"1+force:7", Rule{Count: 1, Force: []int{7}}, "1+force:7"},
		{"replace:3>5,1>0", Rule{Count: 2, Replace: []Replacement{{1, 0}, {3, 5}}}, "2+replace:1>0,3>5"},
		{"random:2+seed:7", Rule{How: Random, Count: 2, Seed: 7}, "random:2+seed:7"},
		{"round-robin:3", Rule{How: RoundRobin, Count: 3}, "round-robin:3"},
		{"2+temperature:0.5+noise:1e-2+seed:3", Rule{Count: 2, Temperature: 0.5, Noise: 0.01, Seed: 3}, "2+temperature:0.5+noise:0.01+seed:3"},
		{"renormalize", Rule{Count: 2, Renormalise: true}, "2+renormalise"},
		{"0-2:top-p:0.5;mask:3,4", Rule{How: TopP, Share: 0.5}, "0-2:top-p:0.5;3-5:2+mask:3,4"},
		{"0:mask:3,4,1-5:1", Rule{Count: 2, Mask: []int{3, 4}}, "0:2+mask:3,4;1-5:1"},
		{"4;0:1", Rule{Count: 1}, "0:1,1-5:4"},
	}
	for _, tt := range tests {
		p, err := Parse(tt.spec, sizes)
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		if !reflect.DeepEqual(*p.Rule(0), tt.rule) || p.String() != tt.text {
			t.Errorf("%q: %+v, %q, want %+v, %q", tt.spec, *p.Rule(0), p.String(), tt.rule, tt.text)
		}
		if again, err := Parse(p.String(), sizes); err != nil || !again.Equal(p) || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: parsing its String gives %v, %v", tt.spec, again, err)
		}
		if err := p.Fits(sizes); err != nil {
			t.Errorf("%q: %v", tt.spec, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ spec, want string }{
		{"", `count "", want 1 to 8`},
		{"0", `count "0", want 1 to 8`},
		{"9", `count "9", want 1 to 8`},
		{"-1", `count "-1"`},
		{"two", `"two" is no term`},
		{"2,3", `count "2,3"`},
		{"0:0", `count "0"`},
		{"0:9", `count "9", want 1 to 8`},
		{"0:", `count ""`},
		{":2", `layer "", want 0 to 5`},
		{"6:2", `layer "6", want 0 to 5`},
		{"0-6:2", `layer "6"`},
		{"0-99999999999999999999:2", `want 0 to 5`},
		{"-2:2", `layer ""`},
		{"3-1:2", `layers "3-1" run backwards`},
		{"0-3:1,3:2", "layer 3 is named twice"},
		{"0:1,", `count "1,"`},
		{"0:1;", `count ""`},
		{"2;3", `"3" is a second part for all layers`},
		{"2+3", "how many experts is said twice"},
		{"top-p:0.9+threshold:0.1", "how many experts is said twice"},
		{"top-p", "top-p without a value"},
		{"mask", "mask without a value"},
		{"top-p:0", `top-p "0", want above 0, at most 1`},
		{"top-p:1.1", `top-p "1.1"`},
		{"threshold:NaN", `threshold "NaN"`},
		{"mask:8", `mask: expert "8", want 0 to 7`},
		{"mask:3,3", "mask: expert 3 twice"},
		{"mask:0,1,2,3,4,5,6,7", "all 8 experts are masked"},
		{"7+mask:0,1", "count 7, want 1 to 6, as 2 of 8 experts are masked"},
		{"mask:3+force:3", "expert 3 is both masked and forced"},
		{"mask:3+replace:2>3", "expert 3 is masked"},
		{"replace:2", `replace "2", want pairs such as 3>5`},
		{"replace:2>9", `expert "9"`},
		{"replace:2>3,2>4", "expert 2 is replaced twice"},
		{"2+min:1", "min and max are for top-p and threshold"},
		{"top-p:0.5+min:3+max:2", "min 3 is above max 2"},
		{"2+seed:3", "seed is for noise and random"},
		{"noise:1+seed:-1", `seed "-1"`},
		{"temperature:0", `temperature "0", want above 0`},
		{"noise:inf", `noise "inf"`},
		{"renormalise:1", "renormalise has no value"},
		{"top-k:2 max:3", `count "2 max:3"`},
		{strings.Repeat("1", maxSpec+1), "bytes, want at most"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.spec, sizes)
		if err == nil {
			t.Errorf("%q: no error", tt.spec)
			continue
		}
		for _, want := range []string{tt.want, brief} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.100q: error %q, want one with %q", tt.spec, err, want)
			}
		}
		if len(err.Error()) > 600 {
			t.Errorf("%.100q: an error of %d bytes", tt.spec, len(err.Error()))
		}
	}
}

// Long texts are read in time that grows with their length alone: anyone may send one.
func TestParseLongTexts(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, piece := range []string{",", "1,", ", ", ";", "+", "0:1,", "1 ,:"} {
			for _, tail := range []string{"", "x:", ":2"} {
				if _, err := Parse(strings.Repeat(piece, maxSpec/len(piece)-1)+tail, sizes); err == nil {
					t.Errorf("%q many times is a policy", piece)
				}
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a text of 1 MiB is still being read")
	}
}

// A policy of layers that turn out equal is the uniform one.
func TestPolicyCompares(t *testing.T) {
	parse := func(spec string) Policy {
		p, err := Parse(spec, sizes)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !parse("0-5:3").Equal(Uniform(3)) || !parse("3").Equal(Uniform(3)) || !Counts([]int{3, 3}).Equal(Uniform(3)) {
		t.Error("three experts in every layer do not compare equal")
	}
	if !parse("0-1:3,2-5:1").Equal(parse("2:1,3-5:1,0-1:3")) {
		t.Error("the same counts in another order do not compare equal")
	}
	if parse("0:3").Equal(parse("1:3")) || parse("2").Equal(parse("2+renormalise")) {
		t.Error("different policies compare equal")
	}
}

func TestPolicyFits(t *testing.T) {
	for _, tt := range []struct {
		p    Policy
		want string
	}{
		{Policy{}, "no policy"},
		{Of(), "no policy"},
		{Uniform(9), "layer 0: count 9, want 1 to 8"},
		{Uniform(0), "layer 0: count 0"},
		{Counts([]int{1, 2}), "a policy for 2 layers, want 6"},
		{Of(Rule{How: 77}), "How(77)"},
		{Of(Rule{How: TopP, Share: 2}), "top-p 2"},
		{Of(Rule{Count: 1, Mask: []int{3, 2}}), "want them ascending"},
		{Of(Rule{Count: 1, Replace: []Replacement{{9, 0}}}), "replace 9>0"},
		{Of(Rule{Count: 1, Noise: -1}), "noise -1"},
	} {
		if err := tt.p.Fits(sizes); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want one with %q", tt.p, err, tt.want)
		}
	}
}

func TestPolicyOfManyExperts(t *testing.T) {
	p, err := Parse("1:700", Sizes{Layers: 2, Experts: 1000, Selected: 300})
	if err != nil {
		t.Fatal(err)
	}
	if p.Rule(0).Count != 300 || p.Rule(1).Count != 700 {
		t.Errorf("counts %d %d, want 300 700", p.Rule(0).Count, p.Rule(1).Count)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2", "0-2:1,3-5:4", "5:7", "0:1,", "3-1:2", "0-99999999999999999999:2", "top-p:0.9+max:3", "0:mask:3,4,1-5:1", "noise:1+seed:3;2:random:1", "replace:3>5,1>0+renormalise"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		p, err := Parse(spec, sizes)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than a line: %q", err)
			}
			return
		}
		if err := p.Fits(sizes); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		var r Routing
		for l := range sizes.Layers {
			r.Reset(sizes.Experts)
			if err := r.Add(randomProbs(rng, sizes.Experts), p.Rule(l), Place{l, 3}); err != nil {
				t.Errorf("%q: layer %d: %v", spec, l, err)
			}
			if k := len(r.Expert); k < 1 || k > p.Most(l, sizes.Experts) || p.Fixed() && k != p.Most(l, sizes.Experts) {
				t.Errorf("%q: layer %d: %d experts, at most %d", spec, l, k, p.Most(l, sizes.Experts))
			}
		}
		if again, err := Parse(p.String(), sizes); err != nil || !again.Equal(p) {
			t.Errorf("%q: %q parses to %v, %v", spec, p.String(), again, err)
		}
	})
}
