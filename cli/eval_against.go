package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/kernels"
	"troupe/stages/sched"
)

// contrast is the second arithmetic of an evaluation, on an engine of its own with the same weights.
type contrast struct {
	arith  kernels.Arith
	engine *actors.Engine
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
	e.against.engine, err = e.engine(ctx, l, e.session.model, nil, e.session.watch)
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
	p, q := newSoftmax(e.launch.config.VocabSize), newSoftmax(e.launch.config.VocabSize)
	return e.events(ctx, e.session.Engine, r, func(event sched.Event) error {
		at := event.Index
		if err := errors.Join(p.set(want[at]), q.set(event.Logits)); err != nil {
			return fmt.Errorf("position %d: %w", at, err)
		}
		want[at] = nil
		s.sum -= q.logs[ids[at+1]]
		s.tokens++
		s.contrast.sum -= p.logs[ids[at+1]]
		s.contrast.kl = append(s.contrast.kl, p.divergence(q))
		if p.likeliest == q.likeliest {
			s.contrast.same++
		}
		count()
		return nil
	})
}

// softmax is that of a row of logits, in float64.
type softmax struct {
	logs      []float64 // [vocab], natural logarithms of the probabilities
	likeliest int       // ties to the lowest id
}

func newSoftmax(vocab int) *softmax { return &softmax{logs: make([]float64, vocab)} }

func (d *softmax) set(logits []float32) error {
	d.likeliest = 0
	for i, l := range logits {
		if l > logits[d.likeliest] {
			d.likeliest = i
		}
	}
	top, sum := float64(logits[d.likeliest]), 0.0
	for i, l := range logits {
		d.logs[i] = float64(l) - top
		sum += math.Exp(d.logs[i])
	}
	norm := math.Log(sum)
	if math.IsNaN(norm) {
		return errors.New("logits hold NaN or only infinities: the weights or the arithmetic overflow")
	}
	for i := range d.logs {
		d.logs[i] -= norm
	}
	return nil
}

// divergence is Kullback and Leibler's of q from p, sum p (ln p - ln q), in nats. Rounding can bring the
// sum of two that are all but equal a little below zero.
func (d *softmax) divergence(q *softmax) float64 {
	sum := 0.0
	for i, log := range d.logs {
		if p := math.Exp(log); p > 0 {
			sum += p * (log - q.logs[i])
		}
	}
	return max(sum, 0)
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
