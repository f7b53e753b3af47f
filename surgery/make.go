package surgery

import (
	"fmt"
	"slices"

	"troupe/router"
)

// Identity is the overlay that changes nothing.
func Identity(s router.Sizes) *Overlay {
	experts := make([]Expert, s.Experts)
	for e := range experts {
		experts[e] = Copy(e)
	}
	return &Overlay{Experts: s.Experts, Selected: s.Selected, Note: "identity", Layers: slices.Repeat([][]Expert{experts}, s.Layers)}
}

// Prune keeps these experts of each layer, [layers][kept], ascending. Every layer has to keep as many.
func Prune(s router.Sizes, keep [][]int) (*Overlay, error) {
	return each(s, "prune", keep, func(l int) ([]Expert, error) {
		var experts []Expert
		for i, e := range keep[l] {
			if i > 0 && e <= keep[l][i-1] {
				return nil, fmt.Errorf("keeps %v: want ascending experts, each once", keep[l])
			}
			experts = append(experts, Copy(e))
		}
		return experts, nil
	})
}

// Duplicate adds a copy of each of these experts, [layers][copies], behind those of the layer; one that is named
// twice gets two.
func Duplicate(s router.Sizes, copies [][]int) (*Overlay, error) {
	before := Identity(s)
	return each(s, "duplicate", copies, func(l int) ([]Expert, error) {
		experts := slices.Clone(before.Layers[l])
		for _, e := range copies[l] {
			experts = append(experts, Copy(e))
		}
		return experts, nil
	})
}

// Swap has two experts change places, [layers][2], router columns with them; a layer with an empty list stays as it is.
func Swap(s router.Sizes, pairs [][]int) (*Overlay, error) {
	before := Identity(s)
	return each(s, "swap", pairs, func(l int) ([]Expert, error) {
		experts, pair := slices.Clone(before.Layers[l]), pairs[l]
		switch {
		case len(pair) == 0:
			return experts, nil
		case len(pair) != 2 || pair[0] == pair[1]:
			return nil, fmt.Errorf("swaps %v: want two different experts", pair)
		case min(pair[0], pair[1]) < 0 || max(pair[0], pair[1]) >= s.Experts:
			return nil, fmt.Errorf("swaps %v: want experts of 0 to %d", pair, s.Experts-1)
		}
		experts[pair[0]], experts[pair[1]] = experts[pair[1]], experts[pair[0]]
		return experts, nil
	})
}

// Average makes one expert of each group, [layers][groups], at the place of the group's first; the others go. The
// column of the router is the average of the group's with the same shares, or with first that of the first expert.
func Average(s router.Sizes, groups [][][]Term, first bool) (*Overlay, error) {
	return each(s, "average", groups, func(l int) ([]Expert, error) {
		experts := make([]*Expert, s.Experts)
		for e := range experts {
			c := Copy(e)
			experts[e] = &c
		}
		seen := map[int]bool{}
		for _, g := range groups[l] {
			if len(g) < 2 {
				return nil, fmt.Errorf("averages %d experts: want two or more", len(g))
			}
			for _, t := range g {
				if t.Expert < 0 || t.Expert >= s.Experts {
					return nil, fmt.Errorf("old expert %d, want 0 to %d", t.Expert, s.Experts-1)
				}
				if seen[t.Expert] {
					return nil, fmt.Errorf("old expert %d is averaged twice", t.Expert)
				}
				seen[t.Expert] = true
				experts[t.Expert] = nil
			}
			made := Expert{Router: mixOf(g), Weights: mixOf(g)}
			if first {
				made.Router = one(g[0].Expert)
			}
			experts[g[0].Expert] = &made
		}
		var left []Expert
		for _, e := range experts {
			if e != nil {
				left = append(left, *e)
			}
		}
		return left, nil
	})
}

// maxSeed keeps the seeds of all copies apart, and below 2^53, which JSON of other programs holds exactly.
const maxSeed = 1 << 32

// Upcycle makes a model of more experts: expert j is a copy of old expert j modulo their number. The originals stay as
// they are; each copy behind them has noise of its own, by which training can tell it from the original. If experts is
// c times the old number, c times as many are selected, so that without noise the model stays the same; else as many
// as before.
func Upcycle(s router.Sizes, experts int, noise float64, seed uint64) (*Overlay, error) {
	switch {
	case experts <= s.Experts || experts > maxExperts:
		return nil, fmt.Errorf("surgery: upcycle: %d experts, want %d to %d", experts, s.Experts+1, maxExperts)
	case seed >= maxSeed:
		return nil, fmt.Errorf("surgery: upcycle: seed %d, want less than %d", seed, uint64(maxSeed))
	}
	list := make([]Expert, experts)
	for j := range list {
		list[j] = Copy(j % s.Experts)
		if j >= s.Experts && noise != 0 {
			list[j].Noise, list[j].Seed = noise, seed*maxExperts+uint64(j)
		}
	}
	o := &Overlay{Experts: s.Experts, Selected: s.Selected, Layers: slices.Repeat([][]Expert{list}, s.Layers)}
	if experts%s.Experts == 0 {
		o.Selected *= experts / s.Experts
	}
	o.Note = fmt.Sprintf("upcycle to %d experts", experts)
	if noise != 0 {
		o.Note += fmt.Sprintf(", noise %g, seed %d", noise, seed)
	}
	return o, o.Check()
}

// each makes an overlay layer by layer of what is said for each layer.
func each[T any](s router.Sizes, what string, said []T, layer func(l int) ([]Expert, error)) (*Overlay, error) {
	if len(said) != s.Layers {
		return nil, fmt.Errorf("surgery: %s: %d layers, the model has %d", what, len(said), s.Layers)
	}
	o := &Overlay{Experts: s.Experts, Note: what}
	for l := range said {
		experts, err := layer(l)
		if err != nil {
			return nil, fmt.Errorf("surgery: %s: layer %d: %w", what, l, err)
		}
		o.Layers = append(o.Layers, experts)
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.Selected = min(s.Selected, o.NumExperts())
	return o, nil
}
