package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/fleet"
	"troupe/kernels"
	"troupe/lab"
	"troupe/stages/sched"
)

// contrast is the second arithmetic of an evaluation, on an engine of its own with the same weights.
type contrast struct {
	arith  kernels.Arith
	engine *fleet.Fleet
}

// readAgainst reads --against; nil is none.
func readAgainst(c *cli.Context) (*contrast, error) {
	if !c.IsSet("against") {
		return nil, nil
	}
	a, err := kernels.ParseArith(c.String("against"))
	if err != nil {
		return nil, badFlag("against", err)
	}
	return &contrast{arith: a}, nil
}

// startOther starts the second engine; --trace shows the first alone.
func (e *evaluation) startOther(ctx context.Context) (err error) {
	l := e.launch
	l.arith = e.against.arith
	e.against.engine, err = fleet.Start(ctx, []actors.Options{e.engineOptions(l, e.session.model, nil, nil, e.session.watch)})
	return err
}

func (e *evaluation) stopOther() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return e.against.engine.Stop(ctx)
}

// contrastSum is what the positions of a document have brought.
type contrastSum struct {
	sum  float64   // of -ln p of the other arithmetic
	kl   []float64 // by position, nats
	same int       // positions with the same likeliest token
}

// compare runs a document in the other arithmetic, keeps its logits, and compares them with those of the
// first as they come.
func (e *evaluation) compare(ctx context.Context, i int, s *score, count func()) error {
	r, ids := e.requests[i], e.documents[i].ids
	want := make([][]float32, 0, len(r.Prompt))
	err := e.events(ctx, e.against.engine, r, func(event sched.Event) error {
		want = append(want, event.Logits)
		count()
		return nil
	})
	if err != nil || len(want) < len(r.Prompt) { // cancelled
		return err
	}
	p, q := lab.NewDistribution(e.launch.config.VocabSize), lab.NewDistribution(e.launch.config.VocabSize)
	return e.judge(ctx, i, func(event sched.Event) error {
		at := event.Index
		if err := errors.Join(p.Set(want[at]), q.Set(event.Logits)); err != nil {
			return fmt.Errorf("position %d: %w", at, err)
		}
		want[at] = nil
		s.sum -= q.Logs[ids[at+1]]
		s.tokens++
		s.contrast.sum -= p.Logs[ids[at+1]]
		s.contrast.kl = append(s.contrast.kl, p.Divergence(q))
		if p.Likeliest == q.Likeliest {
			s.contrast.same++
		}
		count()
		return nil
	})
}

// compared is how a line of the result stands to the same line in the other arithmetic; its names are a promise.
type compared struct {
	Loss          float64 `json:"loss"` // of the other arithmetic
	Perplexity    float64 `json:"perplexity"`
	KLMean        float64 `json:"kl_mean"` // nats, over the tokens judged; so are the next three
	KLMedian      float64 `json:"kl_median"`
	KLP99         float64 `json:"kl_p99"`
	KLMax         float64 `json:"kl_max"`
	Top1Agreement float64 `json:"top1_agreement"` // share of the tokens
	contrastSum
}

func (c *compared) add(s contrastSum) {
	c.sum += s.sum
	c.kl = append(c.kl, s.kl...)
	c.same += s.same
	n := float64(len(c.kl))
	if n == 0 {
		return
	}
	c.Loss, c.Perplexity = lossOf(c.sum, n)
	c.Top1Agreement = float64(c.same) / n
}

// finish sums up; nothing is added then.
func (c *compared) finish() {
	if c == nil || len(c.kl) == 0 {
		return
	}
	sum := 0.0
	for _, v := range c.kl {
		sum += v
	}
	slices.Sort(c.kl)
	rank := func(share float64) float64 { // JSON has no infinity
		return min(c.kl[int(math.Ceil(share*float64(len(c.kl))))-1], math.MaxFloat64)
	}
	c.KLMean = min(sum/float64(len(c.kl)), math.MaxFloat64)
	c.KLMedian, c.KLP99, c.KLMax = rank(0.5), rank(0.99), rank(1)
}
