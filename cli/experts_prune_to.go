package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab"
	"troupe/lab/observe"
	"troupe/lab/saliency"
	"troupe/router"
	"troupe/surgery"
)

// pruning is a search for the experts that each layer keeps.
type pruning struct {
	*experiment
	method saliency.Method
	keep   int
	exact  *saliency.Subsets // nil: not the exact search
	scores *saliency.Scorer
}

// readPruning reads --to and --by, and the texts.
func (p *program) readPruning(c *cli.Context) (*pruning, error) {
	r := &pruning{method: saliency.NAEE}
	if c.IsSet("by") {
		r.method = saliency.Method(c.String("by"))
	}
	if all := saliency.Methods(); !slices.Contains(all, r.method) {
		var names []string
		for _, m := range all {
			names = append(names, string(m))
		}
		return nil, badFlag("by", fmt.Errorf("%q, want %s%s", r.method, strings.Join(names, ", "), didYouMean("", string(r.method), names)))
	}
	if c.String("out") == "-" {
		return nil, usagef("--out -: standard output has the tables: name a file")
	}
	var err error
	if r.experiment, err = p.newExperiment(c); err != nil {
		return nil, err
	}
	if r.keep = c.Int("to"); r.keep < 1 || r.keep >= r.sizes.Experts {
		return nil, badFlag("to", fmt.Errorf("%d of %d experts, want 1 to %d", r.keep, r.sizes.Experts, r.sizes.Experts-1))
	}
	if r.method == saliency.NAEE || r.method == saliency.NAEEDirection {
		if r.exact, err = saliency.NewExact(r.sizes, r.keep, r.method); err != nil {
			return nil, badFlag("by", err)
		}
	}
	r.scores = saliency.NewScorer(r.sizes)
	return r, nil
}

// choose finds the experts of every layer from the calibration texts.
func (r *pruning) choose(ctx context.Context) ([]saliency.Choice, error) {
	first := true // only one pass is for the scores
	pass := func(what string, take observe.Take) error {
		also := first
		first = false
		return r.observe(ctx, what, func(layer int, t *observe.Token) {
			if also {
				r.scores.Take(layer, t)
			}
			take(layer, t)
		})
	}
	layers := make([]saliency.Choice, r.sizes.Layers)
	switch r.method {
	case saliency.NAEEGreedy:
		left := r.sizes.Experts
		return saliency.Greedy(r.sizes, r.keep, func(take observe.Take) error {
			left--
			return pass(fmt.Sprintf("down to %d experts", left), take)
		})
	case saliency.NAEE, saliency.NAEEDirection:
		if err := pass("judging subsets", r.exact.Take); err != nil {
			return nil, err
		}
		for l := range layers {
			layers[l] = r.exact.Best(l)
		}
	default:
		if err := pass("observing", func(int, *observe.Token) {}); err != nil {
			return nil, err
		}
		for l := range layers {
			layers[l].Kept = r.scores.Layers[l].Keep(r.method, r.keep)
		}
	}
	return layers, nil
}

// pruneTo prunes by a method, and judges the model before and after.
func (p *program) pruneTo(c *cli.Context) (err error) {
	r, err := p.readPruning(c)
	if err != nil {
		return err
	}
	if err := r.start(c.Context, false); err != nil {
		return err
	}
	defer closeInto(&err, r.Close)
	layers, err := r.choose(c.Context)
	if err != nil {
		return err
	}
	before, err := r.judge(c.Context, "judging before", r.texts.heldOut, []router.Policy{r.usual}, false)
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	o, err := compose(c, r.launch.config, r.launch.rearranged, func(s router.Sizes) (*surgery.Overlay, error) {
		keep := make([][]int, len(layers))
		for l := range layers {
			keep[l] = layers[l].Kept
		}
		return surgery.Prune(s, keep)
	})
	if err != nil {
		return err
	}
	if out := c.String("out"); out != "" {
		if err := p.writeOverlay(out, o); err != nil {
			return err
		}
		if err := p.tellOverlay(c, out, r.launch.rearranged, o); err != nil {
			return err
		}
	}
	after, policy, err := r.judgeOverlay(c, o)
	if err != nil {
		return err
	}
	w, err := weighOverlay(c, r.launch.rearranged, o)
	if err != nil {
		return err
	}
	report := r.report(layers, before[0], after, policy)
	report.Bytes.Before, report.Bytes.After = w.before, w.after
	if c.Bool("json") {
		return writeJSON(p.out, report)
	}
	return r.print(report)
}

// judgeOverlay judges the held-out texts with an overlay, by the number of experts that a token then uses.
func (r *pruning) judgeOverlay(c *cli.Context, o *surgery.Overlay) (q []lab.Quality, policy router.Policy, err error) {
	x := *r.experiment
	x.session, x.launch.look = nil, nil
	x.launch.overlay = o
	if x.launch.config, err = o.Config(x.launch.files); err != nil {
		return nil, policy, err
	}
	if x.launch.placement, err = placeModel(c, x.launch.placement.file, x.launch.config, nil, x.launch.workers); err != nil {
		return nil, policy, err
	}
	x.launch.limits.Model = x.launch.config
	x.sizes = surgery.SizesOf(x.launch.config)
	x.usual = router.Uniform(x.sizes.Selected)
	if err := x.start(c.Context, false); err != nil {
		return nil, policy, err
	}
	defer closeInto(&err, x.Close)
	judged, err := x.judge(c.Context, "judging after", x.texts.heldOut, []router.Policy{x.usual}, false)
	if err != nil {
		return nil, policy, err
	}
	return judged[0], x.usual, nil
}
