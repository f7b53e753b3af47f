package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab"
	"troupe/lab/journal"
	"troupe/router"
)

func (p *program) tuneCommand() *cli.Command {
	const category = "Search"
	return &cli.Command{
		Name: "tune", Usage: "counts by layer that lose least within a budget",
		Description: `Finds how many experts each layer should use when a token and layer may use
--budget of them on average. First each layer alone gets another count, and what
that costs is its sensitivity. The counts with the least sum are then improved
by an evolutionary search over --evaluations true measurements. --by says what
is lost:

kl       divergence from the model as it is, nats a token
loss     loss of the text, nats a token
output   how far the layer's output moves, as a part of its length: a single
         pass over the text for all sensitivities; the search goes by kl
lexi     the same for random inputs, without a text (arXiv 2509.02753)

Held-out documents, every other one of --text if no file is named, compare the
counts found with uniform ones, with the line between those, and with random
ones of the same budget. The policy is written as --experts @FILE reads it.

What was measured is kept beside --out, or in --journal: after an interruption,
and for another budget, the same command goes on from there.

troupe experts tune --budget 1.5 --out tuned.txt
troupe experts tune --budget 1.25 --text heldout.jsonl --out tuned.txt
troupe run --experts @tuned.txt "Once upon a time"`,
		Flags: experimentFlags(
			&cli.Float64Flag{Name: "budget", Usage: "average `NUMBER` of experts a token and layer", DefaultText: "required", Category: category},
			&cli.StringFlag{Name: "by", Value: "kl", Usage: "`LOSS` that is kept low: " + strings.Join(tuneBy, ", "), Category: category},
			&cli.IntFlag{Name: "max-count", Usage: "most experts of a layer", DefaultText: "twice as many as the model uses", Category: category},
			&cli.IntFlag{Name: "evaluations", Value: 24, Usage: "assignments that the search measures; 0: the least sum is the result", Category: category},
			&cli.IntFlag{Name: "random", Value: 8, Usage: "random assignments to compare with", Category: category},
			&cli.Uint64Flag{Name: "seed", Value: 42, Usage: "of search, random assignments and random inputs", Category: category},
			klMemoryFlag(category),
			policyOutFlag(),
			&cli.StringFlag{Name: "journal", Usage: "`FILE` of measurements", DefaultText: "beside --out", TakesFile: true},
			&cli.BoolFlag{Name: "restart", Usage: "throw away what was measured"},
			&cli.StringFlag{Name: "plots", Usage: "`DIR` for a figure of the sensitivities, PNG and SVG", TakesFile: true},
			jsonFlag("print one JSON object instead of tables"),
		),
		Action: p.tune,
	}
}

var tuneBy = []string{"kl", "loss", "output", "lexi"}

// tuning is a search for counts by layer.
type tuning struct {
	*experiment
	by          string
	budget      int // experts of all layers
	most        int // of a layer
	evaluations int
	random      int
	seed        uint64
	plots       string
	file        string // of the journal; "": none
	restart     bool
	memory      int64 // bytes of logits

	journal *journal.Journal // nil: none
	units   map[unitKey]lab.Quality
	done    int64 // tokens
	planned int64
	report  func(done, total int64)
}

const (
	maxEvaluations = 100_000
	maxRandom      = 1000
)

// readTuning reads the flags.
func (p *program) readTuning(c *cli.Context) (t *tuning, err error) {
	t = &tuning{by: c.String("by"), evaluations: c.Int("evaluations"), random: c.Int("random"), seed: c.Uint64("seed"), plots: c.String("plots"),
		file: c.String("journal"), restart: c.Bool("restart"), units: map[unitKey]lab.Quality{}}
	switch {
	case !c.IsSet("budget"):
		return nil, usagef("--budget: none: say how many experts a token and layer may use on average, as 1.5")
	case !slices.Contains(tuneBy, t.by):
		return nil, badFlag("by", fmt.Errorf("%q, want %s%s", t.by, strings.Join(tuneBy, ", "), didYouMean("", t.by, tuneBy)))
	case t.evaluations < 0 || t.evaluations > maxEvaluations:
		return nil, badFlag("evaluations", fmt.Errorf("%d, want 0 to %d", t.evaluations, maxEvaluations))
	case t.random < 0 || t.random > maxRandom:
		return nil, badFlag("random", fmt.Errorf("%d, want 0 to %d", t.random, maxRandom))
	}
	megabytes, err := intWithin(c, "kl-memory", 1<<30)
	if err != nil {
		return nil, err
	}
	t.memory = int64(megabytes) << 20
	if t.file == "" && c.String("out") != "" {
		t.file = c.String("out") + ".measurements.jsonl"
	}
	if t.experiment, err = p.newExperiment(c); err != nil {
		return nil, err
	}
	return t, t.readBudget(c)
}

// readBudget turns the average into experts of all layers, and bounds those of one.
func (t *tuning) readBudget(c *cli.Context) (err error) {
	m, budget := t.sizes, c.Float64("budget")
	if !(budget >= 1 && budget <= float64(m.Experts)) {
		return badFlag("budget", fmt.Errorf("%v experts a token and layer, want 1 to %d", budget, m.Experts))
	}
	t.budget = int(math.Floor(budget*float64(m.Layers) + 1e-9))
	t.most = min(2*m.Selected, m.Experts)
	if c.IsSet("max-count") {
		if t.most, err = intWithin(c, "max-count", m.Experts); err != nil {
			return err
		}
	}
	t.most = max(1, min(t.most, t.budget-(m.Layers-1))) // the others have one at least
	t.budget = min(t.budget, t.most*m.Layers)
	if have := t.perLayer(); have != budget {
		t.notice("a budget of %v: %d experts for %d layers of at most %d each, %.4g a token and layer", budget, t.budget, m.Layers, t.most, have)
	}
	return nil
}

// perLayer is the budget as an average.
func (t *tuning) perLayer() float64 { return float64(t.budget) / float64(t.sizes.Layers) }

func (p *program) tune(c *cli.Context) (err error) {
	t, err := p.readTuning(c)
	if err != nil {
		return err
	}
	if err := t.start(c.Context, true); err != nil {
		return err
	}
	defer closeInto(&err, t.Close)
	if err := t.openJournal(); err != nil {
		return err
	}
	defer closeInto(&err, t.closeJournal)
	r, err := t.search(c.Context)
	if err != nil {
		t.tellKept()
		return err
	}
	if err := t.writePolicy(c, router.Counts(r.Counts), r.comment(t)); err != nil {
		return err
	}
	if err := t.plot(r); err != nil {
		return err
	}
	if c.Bool("json") {
		return writeJSON(p.out, r)
	}
	return t.print(r, c.String("out") == "")
}
