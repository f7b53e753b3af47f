package router

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTopK(t *testing.T) {
	tests := []struct {
		name  string
		probs []float32
		want  []Choice
	}{
		{"best first", []float32{.1, .6, .3}, []Choice{{1, .6}, {2, .3}}},
		{"all, in order", []float32{.1, .6, .3}, []Choice{{1, .6}, {2, .3}, {0, .1}}},
		{"one", []float32{1}, []Choice{{0, 1}}},
		{"a tie goes to the lower index", []float32{.2, .4, .4}, []Choice{{1, .4}}},
		{"ties keep the order of indices", []float32{.25, .25, .25, .25}, []Choice{{0, .25}, {1, .25}, {2, .25}}},
		{"a tie at the edge", []float32{.2, .3, .2, .3}, []Choice{{1, .3}, {3, .3}, {0, .2}}},
		{"zeros are probabilities", []float32{0, 1, 0, 0}, []Choice{{1, 1}, {0, 0}}},
	}
	for _, tt := range tests {
		got, err := topK(tt.probs, len(tt.want), nil)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// Every k of every size against a stable sort, with many ties.
func TestTopKAgainstSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var best []Choice
	for experts := 1; experts <= 70; experts++ {
		probs := make([]float32, experts)
		sorted := make([]Choice, experts)
		for e := range probs {
			probs[e] = float32(rng.IntN(experts)) / float32(experts)
			sorted[e] = Choice{int32(e), probs[e]}
		}
		slices.SortStableFunc(sorted, func(a, b Choice) int {
			switch {
			case a.Gate > b.Gate:
				return -1
			case a.Gate < b.Gate:
				return 1
			}
			return 0
		})
		for k := 1; k <= experts; k++ {
			var err error
			if best, err = topK(probs, k, best); err != nil || !slices.Equal(best, sorted[:k]) {
				t.Fatalf("%d of %v: got %v, %v, want %v", k, probs, best, err, sorted[:k])
			}
		}
	}
}

func TestTopKRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		probs []float32
		k     int
		want  string
	}{
		{[]float32{.5, .5}, 0, "0 experts for a row, want 1 to 2"},
		{[]float32{.5, .5}, -1, "-1 experts"},
		{[]float32{.5, .5}, 3, "3 experts"},
		{nil, 1, "want 1 to 0"},
		{[]float32{.5, nan}, 1, "expert 1: probability NaN"},
		{[]float32{nan, nan}, 2, "expert 0: probability NaN"},
		{[]float32{.5, .2, inf}, 2, "expert 2: probability +Inf"},
	}
	for _, tt := range tests {
		got, err := topK(tt.probs, tt.k, make([]Choice, 0, 4))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(got) != 0 {
			t.Errorf("%d of %v: got %v, %v, want none and an error with %q", tt.k, tt.probs, got, err, tt.want)
		}
	}
}
