package router

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// chosen is what a rule gives one row.
func chosen(t *testing.T, probs []float32, r Rule, at Place) []Choice {
	t.Helper()
	if err := r.fits(len(probs)); err != nil {
		t.Fatal(err)
	}
	got, err := r.choose(probs, at, nil, &scratch{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestChoose(t *testing.T) {
	probs := []float32{.05, .4, .1, .25, .2}
	tests := []struct {
		name string
		rule Rule
		want []Choice
	}{
		{"top-p", Rule{How: TopP, Share: .6}, []Choice{{1, .4}, {3, .25}}},
		{"top-p to the edge", Rule{How: TopP, Share: .4}, []Choice{{1, .4}}},
		{"top-p of all", Rule{How: TopP, Share: 1}, []Choice{{1, .4}, {3, .25}, {4, .2}, {2, .1}, {0, .05}}},
		{"top-p, bounded", Rule{How: TopP, Share: .9, Max: 2}, []Choice{{1, .4}, {3, .25}}},
		{"top-p, at least", Rule{How: TopP, Share: .1, Min: 2}, []Choice{{1, .4}, {3, .25}}},
		{"top-p of those not masked", Rule{How: TopP, Share: .6, Mask: []int{1}}, []Choice{{3, .25}, {4, .2}}},
		{"threshold", Rule{How: Threshold, Share: .5}, []Choice{{1, .4}, {3, .25}, {4, .2}}},
		{"threshold after a mask", Rule{How: Threshold, Share: .5, Mask: []int{1}}, []Choice{{3, .25}, {4, .2}}},
		{"threshold of the first alone", Rule{How: Threshold, Share: 1}, []Choice{{1, .4}}},
		{"mask", Rule{Count: 2, Mask: []int{1, 4}}, []Choice{{3, .25}, {2, .1}}},
		{"force", Rule{Count: 2, Force: []int{0}}, []Choice{{1, .4}, {0, .05}}},
		{"force more than the count", Rule{Count: 1, Force: []int{0, 2}}, []Choice{{2, .1}, {0, .05}}},
		{"replace", Rule{Count: 2, Replace: []Replacement{{1, 2}, {2, 0}}}, []Choice{{2, .4}, {3, .25}}},
		{"replace by one that is chosen", Rule{Count: 2, Replace: []Replacement{{1, 3}}}, []Choice{{3, .4}, {3, .25}}},
		{"renormalise", Rule{Count: 2, Renormalise: true, Mask: []int{3}}, []Choice{{1, float32(.4) / (float32(.4) + float32(.2))}, {4, float32(.2) / (float32(.4) + float32(.2))}}},
		{"round robin", Rule{How: RoundRobin, Count: 2}, []Choice{{1, .4}, {0, .05}}},
		{"observed", Rule{Count: 2, observe: true}, []Choice{{1, .4}, {3, .25}, {4, 0}, {2, 0}, {0, 0}}},
	}
	for _, tt := range tests {
		if got := chosen(t, probs, tt.rule, Place{}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Round robin goes on where the position before ended, and uses every expert that is not masked as often.
func TestRoundRobin(t *testing.T) {
	probs := []float32{.1, .2, .3, .3, .1}
	for layer := range 3 {
		uses := map[int32]int{}
		for pos := range 40 {
			for _, c := range chosen(t, probs, Rule{How: RoundRobin, Count: 2, Mask: []int{3}}, Place{layer, pos}) {
				uses[c.Expert]++
			}
		}
		for _, e := range []int32{0, 1, 2, 4} {
			if uses[e] != 20 {
				t.Errorf("layer %d: uses %v, want 20 of each but 3", layer, uses)
				break
			}
		}
	}
	a := chosen(t, probs, Rule{How: RoundRobin, Count: 2}, Place{0, 3})
	b := chosen(t, probs, Rule{How: RoundRobin, Count: 2}, Place{1, 3})
	if slices.Equal(a, b) {
		t.Errorf("layers 0 and 1 both use %v", a)
	}
}

// Random choice is even, depends on the place and the seed, and on nothing else.
func TestRandom(t *testing.T) {
	probs := []float32{.97, .01, .01, .005, .005}
	pairs := map[[2]int32]int{}
	const rows = 20000
	for pos := range rows {
		got := chosen(t, probs, Rule{How: Random, Count: 2, Seed: 9}, Place{pos % 3, pos / 3})
		again := chosen(t, probs, Rule{How: Random, Count: 2, Seed: 9}, Place{pos % 3, pos / 3})
		if len(got) != 2 || !slices.Equal(got, again) || got[0].Gate < got[1].Gate {
			t.Fatalf("row %d: %v, again %v", pos, got, again)
		}
		pairs[[2]int32{min(got[0].Expert, got[1].Expert), max(got[0].Expert, got[1].Expert)}]++
	}
	for pair, n := range pairs {
		if want := rows / 10.; math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
			t.Errorf("experts %v: %d of %d rows, want about %v", pair, n, rows, want)
		}
	}
	if len(pairs) != 10 {
		t.Errorf("%d pairs of experts, want 10", len(pairs))
	}
}

// Temperature and noise against the formula with the standard library's functions.
func TestAdjust(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		probs := randomProbs(rng, 8)
		r := Rule{Temperature: 0.2 + 3*rng.Float64()}
		got := r.adjust(probs, Place{}, &scratch{})
		sum := 0.0
		for _, p := range probs {
			sum += math.Pow(float64(p), 1/r.Temperature)
		}
		for e, p := range probs {
			if want := math.Pow(float64(p), 1/r.Temperature) / sum; math.Abs(float64(got[e])-want) > 1e-7 {
				t.Errorf("temperature %v of %v: %v", r.Temperature, probs, got)
			}
		}
	}
	even := []float32{.25, .25, .25, .25}
	var mean, square float64
	const rows = 5000
	for pos := range rows {
		p := (&Rule{Noise: 0.5, Seed: 3}).adjust(even, Place{1, pos}, &scratch{})
		d := (math.Log(float64(p[0])) - math.Log(float64(p[1]))) / 0.5
		mean += d / rows
		square += d * d / rows
	}
	if math.Abs(mean) > 0.1 || math.Abs(square-2) > 0.15 { // of the difference of two standard normals
		t.Errorf("noise: mean %v, variance %v, want 0 and 2", mean, square)
	}
	if got := (&Rule{Temperature: 2}).adjust([]float32{1, 0}, Place{}, &scratch{}); got[0] != 1 || got[1] != 0 {
		t.Errorf("a probability of 0 becomes %v", got)
	}
	for _, rule := range []Rule{{Temperature: 1e-310}, {Temperature: 5e-324, Noise: maxNoise}} {
		if got := rule.adjust([]float32{.2, .5, .3}, Place{}, &scratch{}); got[0] != 0 || got[1] != 1 || got[2] != 0 {
			t.Errorf("temperature %v: %v, want the likeliest alone", rule.Temperature, got)
		}
	}
	nan := []float32{float32(math.NaN()), 1}
	if _, err := (&Rule{Count: 1, Noise: 1}).choose(nan, Place{}, nil, &scratch{}); err == nil {
		t.Error("NaN is chosen from")
	}
}

func TestExpAndLn(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 100000 {
		x := math.Ldexp(0.5+rng.Float64()/2, rng.IntN(200)-180)
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 4e-16*math.Max(math.Abs(want), 0.5) {
			t.Fatalf("ln %v: %v, want %v", x, got, want)
		}
		y := -700 * rng.Float64() * rng.Float64()
		if got, want := exp(y), math.Exp(y); math.Abs(got-want) > 1e-15*want {
			t.Fatalf("exp %v: %v, want %v", y, got, want)
		}
	}
	if exp(0) != 1 || ln(1) != 0 || exp(math.Inf(-1)) != 0 || !math.IsInf(ln(0), -1) {
		t.Errorf("exp 0 %v, ln 1 %v, exp -Inf %v, ln 0 %v", exp(0), ln(1), exp(math.Inf(-1)), ln(0))
	}
}

func TestChooseAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	probs := randomProbs(rng, 8)
	for _, spec := range []string{"2", "top-p:0.9", "threshold:0.3+max:2", "2+mask:3+force:1+replace:1>2", "random:2", "round-robin:2", "2+temperature:2+noise:1+renormalise"} {
		p, err := Parse(spec, sizes)
		if err != nil {
			t.Fatal(err)
		}
		var s scratch
		var best []Choice
		row := func() {
			if best, err = p.Rule(0).choose(probs, Place{1, 2}, best, &s); err != nil {
				t.Fatal(err)
			}
		}
		row()
		if n := testing.AllocsPerRun(100, row); n != 0 {
			t.Errorf("%s: %v allocations a row, want 0", spec, n)
		}
	}
}
