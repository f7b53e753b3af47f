package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"troupe/lab"
	"troupe/lab/observe"
	"troupe/lab/saliency"
	"troupe/lab/tune"
	"troupe/router"
)

// noiseTokens is how many random inputs a layer gets.
const noiseTokens = 1024

// tuned is the result as JSON; its names are a promise.
type tuned struct {
	By     string  `json:"by"`
	Budget float64 `json:"budget"` // experts a token and layer
	Policy string  `json:"policy"`
	Counts []int   `json:"counts"` // by layer
	// Sensitivities are what a layer alone costs with 1, 2, … experts; additive are the counts with the least sum.
	Sensitivities [][]float64 `json:"sensitivities"`
	Additive      []int       `json:"additive"`
	Evaluated     []evaluated `json:"evaluated"` // by the search, best first
	HeldOut       []compareTo `json:"held_out"`
	Random        []figures   `json:"random"` // held out, assignments of the same budget
}

// evaluated is an assignment that the search has measured on the calibration texts: loss is what --by says.
type evaluated struct {
	Counts []int   `json:"counts"`
	Loss   float64 `json:"loss"`
}

// compareTo is a line of the comparison.
type compareTo struct {
	Name string `json:"name"` // default, tuned, additive, uniform, line
	figures
}

// objective is what the search keeps low, of a quality.
func (t *tuning) objective(q lab.Quality) float64 {
	if t.by == "loss" {
		return q.MeanLoss()
	}
	return q.MeanKL()
}

// search finds counts and judges them.
func (t *tuning) search(ctx context.Context) (r tuned, err error) {
	r = tuned{By: t.by, Budget: t.perLayer()}
	var seen *saliency.Counts // nil: sensitivities are measured as everything else is
	if t.by == "output" || t.by == "lexi" {
		if seen, err = t.look(ctx); err != nil {
			return r, err
		}
	}
	alone := t.alone()
	t.planned = int64(tokensOf(t.texts.calibration))*int64(t.evaluations) + int64(tokensOf(t.texts.heldOut))*int64(5+t.random)
	if seen == nil {
		t.planned += int64(tokensOf(t.texts.calibration)) * int64(len(alone)+1)
	}
	var end func()
	t.report, end = t.progress("measuring", inTokens)
	defer end()
	if r.Sensitivities, err = t.sensitivities(ctx, alone, seen); err != nil {
		return r, err
	}
	if r.Additive, _, err = tune.Cheapest(r.Sensitivities, t.budget); err != nil {
		return r, err
	}
	if err := t.evolve(ctx, &r); err != nil {
		return r, err
	}
	r.Policy = router.Counts(r.Counts).String()
	return r, t.compare(ctx, &r)
}

// evolve improves the counts with the least sum by true measurements.
func (t *tuning) evolve(ctx context.Context, r *tuned) error {
	e := tune.Evolution{Costs: r.Sensitivities, Budget: t.budget, Evaluations: t.evaluations, Seed: t.seed,
		Judge: func(list [][]int) ([]float64, error) {
			policies := make([]router.Policy, len(list))
			for i, counts := range list {
				policies[i] = router.Counts(counts)
			}
			q, err := t.measure(ctx, toLearn, policies)
			costs := make([]float64, len(q))
			for i := range q {
				costs[i] = t.objective(q[i])
			}
			return costs, err
		}}
	all, err := e.Run([][]int{r.Additive})
	if err != nil {
		return err
	}
	r.Evaluated = make([]evaluated, len(all))
	for i, a := range all {
		r.Evaluated[i] = evaluated{a.Counts, a.Cost}
	}
	if r.Counts = r.Additive; len(all) > 0 {
		r.Counts = all[0].Counts
	}
	return nil
}

// oneLayer is an assignment in which a layer alone has another count than usual.
type oneLayer struct{ layer, count int }

// alone lists them all.
func (t *tuning) alone() (list []oneLayer) {
	for l := range t.sizes.Layers {
		for k := 1; k <= t.most; k++ {
			if k != t.sizes.Selected {
				list = append(list, oneLayer{l, k})
			}
		}
	}
	return list
}

// sensitivities are what layers cost alone, [layers][counts]: measured, or as seen.
func (t *tuning) sensitivities(ctx context.Context, alone []oneLayer, seen *saliency.Counts) ([][]float64, error) {
	costs := make([][]float64, t.sizes.Layers)
	for l := range costs {
		costs[l] = make([]float64, t.most)
		if seen != nil {
			copy(costs[l], seen.Loss(l))
		}
	}
	if seen != nil {
		return costs, nil
	}
	policies := []router.Policy{t.usual}
	for _, a := range alone {
		counts := slices.Repeat([]int{t.sizes.Selected}, t.sizes.Layers)
		counts[a.layer] = a.count
		policies = append(policies, router.Counts(counts))
	}
	q, err := t.measure(ctx, toLearn, policies)
	if err != nil {
		return nil, err
	}
	for i, a := range alone {
		costs[a.layer][a.count-1] = t.objective(q[i+1]) - t.objective(q[0])
	}
	return costs, nil
}

// look has layers see a text, or random inputs.
func (t *tuning) look(ctx context.Context) (*saliency.Counts, error) {
	c := saliency.NewCounts(t.sizes)
	if t.by == "output" {
		return c, t.observe(ctx, "observing", c.Take)
	}
	report, end := t.progress("observing", inTokens)
	defer end()
	total := int64(noiseTokens * t.sizes.Layers)
	n := observe.Noise{Config: t.launch.config, Weights: t.session.model.Weights, Arith: t.launch.arith, Binding: t.launch.binding,
		Threads: t.launch.placement.Devices[0].Threads, Tokens: noiseTokens, Seed: t.seed}
	return c, n.Run(ctx, c.Take, func(done int64) { report(done, total) })
}

// compare judges the counts by the held-out texts, beside others of the same budget.
func (t *tuning) compare(ctx context.Context, r *tuned) error {
	names, policies := []string{"default", "tuned"}, []router.Policy{t.usual, router.Counts(r.Counts)}
	add := func(name string, p router.Policy) int {
		names, policies = append(names, name), append(policies, p)
		return len(names) - 1
	}
	if !slices.Equal(r.Additive, r.Counts) {
		add("additive", router.Counts(r.Additive))
	}
	low := t.budget / t.sizes.Layers
	at := add("uniform", router.Uniform(low))
	rest := t.perLayer() - float64(low)
	if rest > 0 {
		add("uniform", router.Uniform(low+1))
	}
	for _, counts := range tune.Random(t.sizes.Layers, t.most, t.budget, t.random, t.seed) {
		policies = append(policies, router.Counts(counts))
	}
	q, err := t.measure(ctx, toJudge, policies)
	if err != nil {
		return err
	}
	for i, name := range names {
		r.HeldOut = append(r.HeldOut, compareTo{name, t.figures(policies[i], q[i])})
	}
	if rest > 0 {
		r.HeldOut = append(r.HeldOut, between(r.HeldOut[at].figures, r.HeldOut[at+1].figures, rest))
	}
	for i := len(names); i < len(policies); i++ {
		r.Random = append(r.Random, t.figures(policies[i], q[i]))
	}
	return nil
}

// between is the line between two uniform policies: what a mixture of tokens under one and the other would have.
func between(a, b figures, share float64) compareTo {
	mix := func(x, y float64) float64 { return x + share*(y-x) }
	f := figures{Experts: fmt.Sprintf("between %s and %s", a.Experts, b.Experts), ExpertsPerToken: mix(a.ExpertsPerToken, b.ExpertsPerToken),
		Loss: mix(a.Loss, b.Loss), KL: mix(a.KL, b.KL), Agreement: mix(a.Agreement, b.Agreement), Tokens: a.Tokens}
	f.Perplexity = min(math.Exp(f.Loss), math.MaxFloat64)
	return compareTo{"line", f}
}
