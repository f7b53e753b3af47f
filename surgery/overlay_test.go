package surgery

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/model"
	"troupe/router"
)

var sizes = router.Sizes{Layers: 3, Experts: 4, Selected: 2}

func must(t *testing.T) func(o *Overlay, err error) *Overlay {
	return func(o *Overlay, err error) *Overlay {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		return o
	}
}

// olds lists the old experts of each layer, -1 for one that is made.
func olds(o *Overlay) (list [][]int) {
	for _, experts := range o.Layers {
		var layer []int
		for _, e := range experts {
			if e.Made() {
				layer = append(layer, -1)
			} else {
				layer = append(layer, e.Weights[0].Expert)
			}
		}
		list = append(list, layer)
	}
	return list
}

func TestOperations(t *testing.T) {
	for name, c := range map[string]struct {
		o        *Overlay
		want     [][]int
		selected int
	}{
		"identity":  {Identity(sizes), [][]int{{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}}, 2},
		"prune":     {must(t)(Prune(sizes, [][]int{{0, 3}, {1, 2}, {2, 3}})), [][]int{{0, 3}, {1, 2}, {2, 3}}, 2},
		"to one":    {must(t)(Prune(sizes, [][]int{{0}, {1}, {2}})), [][]int{{0}, {1}, {2}}, 1},
		"duplicate": {must(t)(Duplicate(sizes, [][]int{{3, 3}, {0, 1}, {1, 0}})), [][]int{{0, 1, 2, 3, 3, 3}, {0, 1, 2, 3, 0, 1}, {0, 1, 2, 3, 1, 0}}, 2},
		"no copies": {must(t)(Duplicate(sizes, make([][]int, 3))), olds(Identity(sizes)), 2},
		"swap":      {must(t)(Swap(sizes, [][]int{{0, 3}, nil, {2, 1}})), [][]int{{3, 1, 2, 0}, {0, 1, 2, 3}, {0, 2, 1, 3}}, 2},
		"average": {must(t)(Average(sizes, slices.Repeat([][][]Term{{{{3, 0.5}, {1, 0.5}}}}, 3), false)),
			[][]int{{0, 2, -1}, {0, 2, -1}, {0, 2, -1}}, 2},
		"upcycle":        {must(t)(Upcycle(sizes, 8, 0, 1)), slices.Repeat([][]int{{0, 1, 2, 3, 0, 1, 2, 3}}, 3), 4},
		"upcycle to 6":   {must(t)(Upcycle(sizes, 6, 0, 1)), slices.Repeat([][]int{{0, 1, 2, 3, 0, 1}}, 3), 2},
		"upcycle, noise": {must(t)(Upcycle(sizes, 5, 0.1, 1)), slices.Repeat([][]int{{0, 1, 2, 3, -1}}, 3), 2},
	} {
		if got := olds(c.o); !reflect.DeepEqual(got, c.want) || c.o.Selected != c.selected {
			t.Errorf("%s: %v, %d selected, want %v, %d", name, got, c.o.Selected, c.want, c.selected)
		}
		for l, experts := range c.o.Layers {
			for j, e := range experts {
				if len(e.Weights) == 1 && !slices.Equal(e.Router, e.Weights) {
					t.Errorf("%s: layer %d, expert %d: column %v for weights %v", name, l, j, e.Router, e.Weights)
				}
			}
		}
	}
}

func TestAverageRouter(t *testing.T) {
	group := slices.Repeat([][][]Term{{{{2, 0.75}, {0, 0.25}}}}, 3)
	mixed := must(t)(Average(sizes, group, false)).Layers[1]
	want := Mix{{0, 0.25}, {2, 0.75}}
	if len(mixed) != 3 || !slices.Equal(mixed[1].Router, want) || !slices.Equal(mixed[1].Weights, want) {
		t.Errorf("%+v, want %v second of three, where the group's first was", mixed, want)
	}
	first := must(t)(Average(sizes, group, true)).Layers[1]
	if !slices.Equal(first[1].Router, Mix{{2, 1}}) || !slices.Equal(first[1].Weights, want) {
		t.Errorf("router first: %+v", first[1])
	}
}

// TestUpcycleSeeds: no two copies have the same noise, and no two seeds share any.
func TestUpcycleSeeds(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(3) {
		for _, e := range must(t)(Upcycle(sizes, 16, 0.01, seed)).Layers[0][4:] {
			if seen[e.Seed] || e.Noise != 0.01 || e.Seed > 1<<53 {
				t.Errorf("seed %d: %+v", seed, e)
			}
			seen[e.Seed] = true
		}
	}
}

func TestOperationsRefuse(t *testing.T) {
	twice := func(list ...int) [][]int { return slices.Repeat([][]int{list}, 3) }
	groups := func(g ...[]Term) [][][]Term { return slices.Repeat([][][]Term{g}, 3) }
	for want, err := range map[string]error{
		"2 layers, the model has 3":                  second(Prune(sizes, twice(1)[:2])),
		"prune: layer 0: keeps [1 1]":                second(Prune(sizes, twice(1, 1))),
		"layer 0: expert 1: router: old expert 4":    second(Prune(sizes, twice(1, 4))),
		"layer 1 has 1 experts, layer 0 has 2":       second(Prune(sizes, [][]int{{0, 1}, {0}, {1, 2}})),
		"layer 0: 0 experts":                         second(Prune(sizes, twice())),
		"old expert -1, want 0 to 3":                 second(Duplicate(sizes, twice(-1))),
		"swaps [1 1]: want two different":            second(Swap(sizes, twice(1, 1))),
		"swaps [1 4]: want experts of 0 to 3":        second(Swap(sizes, twice(1, 4))),
		"swaps [1 2 3]":                              second(Swap(sizes, twice(1, 2, 3))),
		"averages 1 experts":                         second(Average(sizes, groups([]Term{{1, 1}}), false)),
		"old expert 2 is averaged twice":             second(Average(sizes, groups([]Term{{1, .5}, {2, .5}}, []Term{{2, .5}, {3, .5}}), false)),
		"old expert 9, want 0 to 3":                  second(Average(sizes, groups([]Term{{1, .5}, {9, .5}}), false)),
		"shares add up to 0.75":                      second(Average(sizes, groups([]Term{{1, .5}, {2, .25}}), false)),
		"share -1 of old expert 1":                   second(Average(sizes, groups([]Term{{1, -1}, {2, 2}}), false)),
		"4 experts, want 5 to 4096":                  second(Upcycle(sizes, 4, 0, 0)),
		"noise NaN, want 0 to 10":                    second(Upcycle(sizes, 5, math.NaN(), 0)),
		"noise -1, want 0 to 10":                     second(Upcycle(sizes, 5, -1, 0)),
		"seed 4294967296, want less than 4294967296": second(Upcycle(sizes, 5, 0, 1<<32)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func second(_ *Overlay, err error) error { return err }

func TestConfig(t *testing.T) {
	demo, err := model.FindPreset("demo")
	if err != nil {
		t.Fatal(err)
	}
	c := demo.Config
	s := SizesOf(c)
	o := must(t)(Upcycle(s, 16, 0, 0))
	if after, err := o.Config(c); err != nil || after.Model.NumExperts != 16 || after.Model.NumSelectedExperts != 4 || c.Model.NumExperts != 8 {
		t.Errorf("%+v, %v", after.Model, err)
	}
	one := must(t)(Prune(s, slices.Repeat([][]int{{3}}, s.Layers)))
	one.Selected = 0
	if after, err := one.Config(c); err != nil || after.Model.NumSelectedExperts != 1 {
		t.Errorf("%+v, %v", after.Model, err)
	}
	if _, err := Identity(sizes).Config(c); err == nil || !strings.Contains(err.Error(), "3 layers of 4 experts, and the model has 6 of 8") {
		t.Errorf("another model's: %v", err)
	}
}

// TestThen compares one overlay on another with the two looked up by hand.
func TestThen(t *testing.T) {
	pruned := must(t)(Prune(sizes, [][]int{{0, 3}, {1, 2}, {2, 3}}))
	after := router.Sizes{Layers: 3, Experts: 2, Selected: 2}
	twice := must(t)(pruned.Then(must(t)(Duplicate(after, [][]int{{1}, {0}, {1}}))))
	if want := [][]int{{0, 3, 3}, {1, 2, 1}, {2, 3, 3}}; !reflect.DeepEqual(olds(twice), want) || twice.Experts != 4 || twice.Note != "prune; duplicate" {
		t.Errorf("%v of %d (%s), want %v", olds(twice), twice.Experts, twice.Note, want)
	}
	half := slices.Repeat([][][]Term{{{{0, .5}, {1, .5}}}}, 3)
	averaged := must(t)(pruned.Then(must(t)(Average(after, half, false))))
	if want := (Mix{{1, .5}, {2, .5}}); !slices.Equal(averaged.Layers[1][0].Weights, want) || !slices.Equal(averaged.Layers[1][0].Router, want) {
		t.Errorf("%+v, want %v", averaged.Layers[1][0], want)
	}
	// An average of an average and one of its parts: shares are multiplied and added.
	three := router.Sizes{Layers: 3, Experts: 3, Selected: 2}
	of01 := must(t)(Average(sizes, half, false))
	again := must(t)(of01.Then(must(t)(Average(three, half, true))))
	e := again.Layers[0][0]
	if want := (Mix{{0, .25}, {1, .25}, {2, .5}}); !slices.Equal(e.Weights, want) || !slices.Equal(e.Router, Mix{{0, .5}, {1, .5}}) {
		t.Errorf("%+v, want weights %v", e, want)
	}
	// Copies that are averaged are no average.
	copies := must(t)(Duplicate(sizes, [][]int{{2}, {2}, {2}}))
	five := router.Sizes{Layers: 3, Experts: 5, Selected: 2}
	same := must(t)(copies.Then(must(t)(Average(five, slices.Repeat([][][]Term{{{{2, .5}, {4, .5}}}}, 3), false))))
	if !reflect.DeepEqual(olds(same), olds(Identity(sizes))) {
		t.Errorf("an expert averaged with its copy: %v", olds(same))
	}
	noisy := must(t)(Upcycle(sizes, 8, 0.1, 3))
	eight := router.Sizes{Layers: 3, Experts: 8, Selected: 4}
	kept := must(t)(noisy.Then(must(t)(Prune(eight, [][]int{{0, 7}, {0, 7}, {0, 7}}))))
	if kept.Layers[2][1].Seed != noisy.Layers[2][7].Seed || kept.Layers[2][1].Noise != 0.1 {
		t.Errorf("a noisy copy that is kept has other noise: %+v", kept.Layers[2][1])
	}
	if _, err := noisy.Then(must(t)(Average(eight, slices.Repeat([][][]Term{{{{0, .5}, {7, .5}}}}, 3), false))); err == nil || !strings.Contains(err.Error(), "add noise last") {
		t.Errorf("an average of noise: %v", err)
	}
	if _, err := noisy.Then(Identity(sizes)); err == nil || !strings.Contains(err.Error(), "of 4 experts behind one that leaves 3 of 8") {
		t.Errorf("an overlay for other experts: %v", err)
	}
}
