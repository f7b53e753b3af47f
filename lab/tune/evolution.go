package tune

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Candidate is an assignment with its cost.
type Candidate struct {
	Counts []int
	Cost   float64
}

// Evolution improves assignments by their true costs: in every generation children of the best ones are made by
// moving experts between layers and by crossing, those that the sums of single costs favour are judged, and the best
// of all survive. The same seed takes the same way.
type Evolution struct {
	Costs       [][]float64 // [layers][counts] of single layers, as for Cheapest
	Budget      int
	Evaluations int // most candidates judged, those at the start among them
	Seed        uint64
	// Judge gives the true costs of assignments, [candidates].
	Judge func([][]int) ([]float64, error)
}

const (
	survivors  = 4
	generation = 6  // candidates judged at a time
	litter     = 24 // children of which the most promising ones are judged
	barren     = 20 // tries for each child of a litter to be a new one
)

// Run judges the starts, which keep to the budget, and goes on from them. It returns all that were judged, the
// best first; of equal ones that which was judged first. It ends early when no new assignment is found near the
// best ones.
func (e Evolution) Run(starts [][]int) ([]Candidate, error) {
	rng := rand.New(rand.NewPCG(e.Seed, 0x74756e65))
	var all []Candidate
	seen := map[string]bool{}
	next := e.fresh(starts, seen)
	for len(next) > 0 && len(all) < e.Evaluations {
		next = next[:min(len(next), e.Evaluations-len(all))]
		costs, err := e.Judge(next)
		if err != nil {
			return all, err
		}
		for i, counts := range next {
			all = append(all, Candidate{counts, costs[i]})
		}
		slices.SortStableFunc(all, func(a, b Candidate) int { return less(a.Cost, b.Cost) })
		next = e.children(all[:min(len(all), survivors)], rng, seen)
	}
	return all, nil
}

func less(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// fresh keeps those that have not been seen, and remembers them.
func (e Evolution) fresh(list [][]int, seen map[string]bool) (kept [][]int) {
	for _, counts := range list {
		if name := fmt.Sprint(counts); !seen[name] {
			seen[name] = true
			kept = append(kept, slices.Clone(counts))
		}
	}
	return kept
}

// children makes a litter and returns the generation that is to be judged; the others may be born again.
func (e Evolution) children(parents []Candidate, rng *rand.Rand, seen map[string]bool) [][]int {
	var list [][]int
	names := map[string]bool{}
	for tries := 0; len(list) < litter && tries < litter*barren; tries++ {
		child := slices.Clone(parents[rng.IntN(len(parents))].Counts)
		if rng.IntN(2) == 0 {
			e.cross(child, parents[rng.IntN(len(parents))].Counts, rng)
		}
		for range 1 + rng.IntN(2) {
			e.mutate(child, rng)
		}
		if name := fmt.Sprint(child); e.valid(child) && !seen[name] && !names[name] {
			names[name] = true
			list = append(list, child)
		}
	}
	slices.SortStableFunc(list, func(a, b []int) int { return less(Sum(e.Costs, a), Sum(e.Costs, b)) })
	return e.fresh(list[:min(len(list), generation)], seen)
}

// cross takes the other's layers behind a cut.
func (e Evolution) cross(child, other []int, rng *rand.Rand) {
	cut := rng.IntN(len(child))
	copy(child[cut:], other[cut:])
}

// mutate moves an expert from one layer to another; where the budget is not used up it may also come from nowhere.
func (e Evolution) mutate(child []int, rng *rand.Rand) {
	from, to := rng.IntN(len(child)), rng.IntN(len(child))
	if used(child) < e.Budget && rng.IntN(2) == 0 {
		child[to]++
		return
	}
	child[from]--
	child[to]++
}

func (e Evolution) valid(counts []int) bool {
	for l, k := range counts {
		if k < 1 || k > len(e.Costs[l]) {
			return false
		}
	}
	sum := Sum(e.Costs, counts)
	return used(counts) <= e.Budget && sum-sum == 0 // no cost that is not a number: not allowed
}

func used(counts []int) (sum int) {
	for _, k := range counts {
		sum += k
	}
	return sum
}

// Random draws n assignments of a budget, a layer at most most: experts go one after the other to a layer that has
// room. The budget is at least one expert a layer and at most what the layers can take.
func Random(layers, most, budget, n int, seed uint64) (list [][]int) {
	rng := rand.New(rand.NewPCG(seed, 0x72616e64))
	for range n {
		counts := make([]int, layers)
		for l := range counts {
			counts[l] = 1
		}
		for left := min(budget, layers*most) - layers; left > 0; {
			if l := rng.IntN(layers); counts[l] < most {
				counts[l]++
				left--
			}
		}
		list = append(list, counts)
	}
	return list
}
