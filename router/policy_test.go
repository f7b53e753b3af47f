package router

import (
	"strings"
	"testing"
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
			if got := p.Count(l); got != want {
				t.Errorf("%q: layer %d: %d experts, want %d", tt.spec, l, got, want)
			}
		}
		if got := p.String(); got != tt.text {
			t.Errorf("%q: String %q, want %q", tt.spec, got, tt.text)
		}
		if again, err := Parse(p.String(), sizes); err != nil || again != p {
			t.Errorf("%q: parsing its String gives %v, %v", tt.spec, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ spec, want string }{
		{"", `count "", want 1 to 8`},
		{"0", `count "0", want 1 to 8`},
		{"9", `count "9", want 1 to 8`},
		{"-1", `count "-1"`},
		{"+1", `count "+1"`},
		{"two", `count "two"`},
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
		{"0:1,", `"" has no colon`},
		{"0:1,4", `"4" has no colon`},
		{"top-k:2", `layer "top"`},
	}
	for _, tt := range tests {
		_, err := Parse(tt.spec, sizes)
		if err == nil {
			t.Errorf("%q: no error", tt.spec)
			continue
		}
		for _, want := range []string{tt.want, grammar} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %q, want one with %q", tt.spec, err, want)
			}
		}
	}
}

// A policy of layers that turn out equal is the uniform one, also for ==.
func TestPolicyCompares(t *testing.T) {
	parse := func(spec string) Policy {
		p, err := Parse(spec, sizes)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if parse("0-5:3") != Uniform(3) || parse("3") != Uniform(3) {
		t.Error("three experts in every layer do not compare equal")
	}
	if parse("0-1:3,2-5:1") != parse("2:1,3-5:1,0-1:3") {
		t.Error("the same counts in another order do not compare equal")
	}
	if parse("0:3") == parse("1:3") {
		t.Error("different counts compare equal")
	}
}

func TestPolicyOfManyExperts(t *testing.T) {
	p, err := Parse("1:700", Sizes{Layers: 2, Experts: 1000, Selected: 300})
	if err != nil {
		t.Fatal(err)
	}
	if p.Count(0) != 300 || p.Count(1) != 700 {
		t.Errorf("counts %d %d, want 300 700", p.Count(0), p.Count(1))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2", "0-2:1,3-5:4", "5:7", "0:1,", "3-1:2", "0-99999999999999999999:2", "top-p:0.9"} {
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
		for l := range sizes.Layers {
			if k := p.Count(l); k < 1 || k > sizes.Experts {
				t.Errorf("%q: layer %d: %d experts", spec, l, k)
			}
		}
		if again, err := Parse(p.String(), sizes); err != nil || again != p {
			t.Errorf("%q: %q parses to %v, %v", spec, p.String(), again, err)
		}
	})
}
