package tune

import (
	"fmt"
	"math"
)

// Cheapest finds the counts with the least sum of costs within a budget, by dynamic programming over layers:
// costs[l][k-1] is what layer l costs with k experts, NaN or +Inf where k is not allowed. Of equal sums it is the one
// with fewer experts, then that with fewer in the first layer where they differ. It takes layers · budget · counts steps.
func Cheapest(costs [][]float64, budget int) (counts []int, sum float64, err error) {
	layers := len(costs)
	budget = max(budget, 0)
	// best[l][b] is the least cost of layers l and behind it with at most b experts.
	best := make([][]float64, layers+1)
	best[layers] = make([]float64, budget+1)
	for l := layers - 1; l >= 0; l-- {
		best[l] = make([]float64, budget+1)
		for b := range best[l] {
			best[l][b] = math.Inf(1)
			for k := 1; k <= min(b, len(costs[l])); k++ {
				best[l][b] = min(best[l][b], total(costs[l][k-1], best[l+1][b-k]))
			}
		}
	}
	sum = best[0][budget]
	if math.IsInf(sum, 1) {
		return nil, 0, fmt.Errorf("tune: a budget of %d experts for %d layers: no layer can have fewer than one", budget, layers)
	}
	for left, l := leastBudget(best[0], sum), 0; l < layers; l++ {
		for k := 1; ; k++ {
			if total(costs[l][k-1], best[l+1][left-k]) == best[l][left] {
				counts, left = append(counts, k), left-k
				break
			}
		}
	}
	return counts, sum, nil
}

// total adds the cost of a layer to that of the layers behind it.
func total(cost, rest float64) float64 {
	if math.IsNaN(cost) {
		return math.Inf(1)
	}
	return cost + rest
}

// leastBudget is the smallest budget that is as good.
func leastBudget(best []float64, sum float64) int {
	for b, v := range best {
		if v == sum {
			return b
		}
	}
	panic("BUG: the least cost of a budget is not among the costs of budgets")
}

// Sum of costs of an assignment.
func Sum(costs [][]float64, counts []int) float64 {
	sum := 0.0
	for l, k := range counts {
		sum = total(costs[l][k-1], sum)
	}
	return sum
}
