package tune

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// each calls yield for every assignment of 1 to most experts to layers.
func each(layers, most int, yield func(counts []int)) {
	counts := make([]int, layers)
	var from func(l int)
	from = func(l int) {
		if l == layers {
			yield(counts)
			return
		}
		for counts[l] = 1; counts[l] <= most; counts[l]++ {
			from(l + 1)
		}
	}
	from(0)
}

func draw(rng *rand.Rand, layers, most int) [][]float64 {
	costs := make([][]float64, layers)
	for l := range costs {
		for range most {
			costs[l] = append(costs[l], rng.NormFloat64())
		}
	}
	return costs
}

// Dynamic programming finds what exhaustive search finds.
func TestCheapestIsExhaustive(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		layers, most := 1+rng.IntN(5), 1+rng.IntN(4)
		costs := draw(rng, layers, most)
		if rng.IntN(3) == 0 {
			costs[rng.IntN(layers)][rng.IntN(most)] = math.NaN()
		}
		budget := layers + rng.IntN(layers*most)
		least, best := math.Inf(1), []int(nil)
		each(layers, most, func(counts []int) {
			if sum := Sum(costs, counts); used(counts) <= budget && sum < least {
				least, best = sum, slices.Clone(counts)
			}
		})
		counts, sum, err := Cheapest(costs, budget)
		if (best == nil) != (err != nil) || err == nil && (math.Abs(sum-least) > 1e-12 || !slices.Equal(counts, best)) {
			t.Errorf("budget %d of %v: %v at %v, want %v at %v: %v", budget, costs, counts, sum, best, least, err)
		}
	}
}

func TestCheapestPrefersFewer(t *testing.T) {
	counts, sum, err := Cheapest([][]float64{{1, 1, 0}, {0, 0, 0}}, 4)
	if err != nil || sum != 0 || !slices.Equal(counts, []int{3, 1}) {
		t.Errorf("%v at %v, want 3 and 1 at 0: %v", counts, sum, err)
	}
	if counts, _, _ := Cheapest([][]float64{{1, 1}, {1, 1}}, 4); !slices.Equal(counts, []int{1, 1}) {
		t.Errorf("%v, want 1 and 1", counts)
	}
	for _, budget := range []int{1, 0, -1} {
		if _, _, err := Cheapest([][]float64{{1}, {1}}, budget); err == nil || !strings.Contains(err.Error(), "fewer than one") {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
}

// The search finds the optimum of costs that layers have together, which the sums of single costs miss.
func TestEvolutionFindsWhatSumsMiss(t *testing.T) {
	const layers, most, budget = 6, 4, 9
	rng := rand.New(rand.NewPCG(2, 2))
	costs := draw(rng, layers, most)
	truth := func(counts []int) float64 {
		sum := Sum(costs, counts)
		for l := 1; l < layers; l++ { // neighbours disturb each other
			sum += 1.5 * math.Abs(float64(counts[l]-counts[l-1]))
		}
		return sum
	}
	least := math.Inf(1)
	each(layers, most, func(counts []int) {
		if used(counts) <= budget {
			least = min(least, truth(counts))
		}
	})
	start, _, err := Cheapest(costs, budget)
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	e := Evolution{Costs: costs, Budget: budget, Evaluations: 200, Seed: 7, Judge: func(list [][]int) (values []float64, err error) {
		judged += len(list)
		for _, counts := range list {
			if used(counts) > budget || slices.Min(counts) < 1 || slices.Max(counts) > most {
				t.Errorf("judged %v, which the budget does not allow", counts)
			}
			values = append(values, truth(counts))
		}
		return values, nil
	}}
	all, err := e.Run([][]int{start})
	if err != nil {
		t.Fatal(err)
	}
	if all[0].Cost > least+1e-12 || all[0].Cost >= truth(start) {
		t.Errorf("%v, want %v; the start has %v", all[0], least, truth(start))
	}
	if judged != len(all) || judged > 200 {
		t.Errorf("%d judged, %d told, want at most 200", judged, len(all))
	}
	if again, _ := e.Run([][]int{start}); !reflect.DeepEqual(all, again) {
		t.Error("the same seed takes another way")
	}
	seen := map[string]bool{}
	for _, c := range all {
		name := string([]byte{byte(c.Counts[0]), byte(c.Counts[1]), byte(c.Counts[2]), byte(c.Counts[3]), byte(c.Counts[4]), byte(c.Counts[5])})
		if seen[name] {
			t.Errorf("%v judged twice", c.Counts)
		}
		seen[name] = true
	}
}

// What there is to judge may be less than what may be judged; an error ends the search.
func TestEvolutionEnds(t *testing.T) {
	flat := [][]float64{{0, 0}, {0, 0}}
	e := Evolution{Costs: flat, Budget: 3, Evaluations: 100, Judge: func(list [][]int) ([]float64, error) { return make([]float64, len(list)), nil }}
	all, err := e.Run([][]int{{1, 1}, {1, 1}})
	if err != nil || len(all) != 3 { // 1 1, 2 1, 1 2
		t.Errorf("%v, want the 3 assignments there are: %v", all, err)
	}
	e.Evaluations = 1
	if all, _ := e.Run([][]int{{1, 1}, {2, 1}}); len(all) != 1 {
		t.Errorf("%d judged, want 1", len(all))
	}
	broken := errors.New("stop")
	e.Judge = func([][]int) ([]float64, error) { return nil, broken }
	if _, err := e.Run([][]int{{1, 1}}); !errors.Is(err, broken) {
		t.Errorf("%v, want the error of the judge", err)
	}
}

func TestRandomKeepsToTheBudget(t *testing.T) {
	list := Random(6, 4, 9, 50, 3)
	differ := map[string]bool{}
	for _, counts := range list {
		if used(counts) != 9 || slices.Min(counts) < 1 || slices.Max(counts) > 4 {
			t.Errorf("%v", counts)
		}
		differ[string([]byte{byte(counts[0]), byte(counts[1]), byte(counts[2]), byte(counts[3]), byte(counts[4])})] = true
	}
	if len(differ) < 20 || !reflect.DeepEqual(list, Random(6, 4, 9, 50, 3)) || reflect.DeepEqual(list, Random(6, 4, 9, 50, 4)) {
		t.Errorf("%d assignments of 50 differ", len(differ))
	}
	if list := Random(2, 3, 100, 1, 1); !slices.Equal(list[0], []int{3, 3}) {
		t.Errorf("%v, want full layers", list)
	}
}
