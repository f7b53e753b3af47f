package observe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// Noise looks at the layers of a model without a text: each gets hidden states of its own, drawn from the standard
// normal distribution. They go through the norm before the router, as hidden states do; attention has no part in it.
type Noise struct {
	Config  model.Config
	Weights stages.Weights
	Arith   kernels.Arith
	Binding kernels.Binding // who computes the experts
	Threads int
	Tokens  int // a layer
	Seed    uint64
}

// noiseRows is how many tokens are computed at a time.
const noiseRows = 64

// Run hands take the tokens of every layer, one layer after the other, with the k likeliest experts chosen as the
// model does by default. report, which may be nil, is told how many tokens are done, over all layers.
func (n Noise) Run(ctx context.Context, take Take, report func(done int64)) (err error) {
	plan := model.NewPlan(n.Config)
	libs := stages.OpenLibraries(n.Arith, n.Binding, kernels.SameThreads(n.Threads))
	defer func() { err = errors.Join(err, libs.Close()) }()
	b, err := stages.NewBatch(plan, stages.Limits{Rows: noiseRows, Draws: 1, Sequences: 1, Experts: n.Config.Model.NumExperts})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	experts := stages.NewExperts(plan)
	look := New(n.Config)
	look.take, look.length = take, n.Tokens
	done := int64(0)
	for l := range n.Config.Model.NumLayers {
		s, err := n.source(plan, l)
		if err != nil {
			return err
		}
		for e := range n.Config.Model.NumExperts {
			if err := experts.Add(l, e, n.Weights, libs); err != nil {
				return err
			}
		}
		for at := 0; at < n.Tokens; at += noiseRows {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			rows := min(noiseRows, n.Tokens-at)
			if err := n.batch(b, plan, experts, s, l, at, rows); err != nil {
				return err
			}
			if look.Look(l, b); look.faults[l] != nil {
				return look.faults[l]
			}
			if done += int64(rows); report != nil {
				report(done)
			}
		}
	}
	return nil
}

// batch computes rows of a layer, the first of which has the position at.
func (n Noise) batch(b *stages.Batch, plan model.Plan, experts *stages.Experts, s *source, layer, at, rows int) error {
	b.Reset(uint64(at), 0)
	seq := b.AddSequence(nil, nil, router.Uniform(n.Config.Model.NumSelectedExperts).Observed())
	for i := range rows {
		b.AddRow(seq, stages.Row{Pos: int32(at + i)})
	}
	b.Seal()
	emb, width := n.Config.Model.EmbSize, n.Config.Model.NumExperts
	for i := range rows {
		s.draw(b.Frame.Bufs[plan.ExpertInput][i*emb:(i+1)*emb], b.Frame.Bufs[plan.Probs][i*width:(i+1)*width])
	}
	groups, err := b.Route(plan.Probs, layer)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := experts.Run(b, layer, int(g.Expert), stages.WorkOf(g)); err != nil {
			return err
		}
	}
	return nil
}

// source draws the inputs of a layer's experts, and the router's softmax of them.
type source struct {
	rng    *rand.Rand
	scale  []float32 // [emb] of the norm
	router *kernels.Weight
	logits []float64 // [experts]
}

// source finds the weights of the router and of the norm before it.
func (n Noise) source(plan model.Plan, layer int) (*source, error) {
	s := &source{rng: rand.New(rand.NewPCG(n.Seed, uint64(layer))), logits: make([]float64, n.Config.Model.NumExperts)}
	for _, step := range plan.Before(layer) {
		if len(step.Out) == 1 && (step.Out[0] == plan.ExpertInput || step.Out[0] == plan.Probs) {
			w := n.Weights[step.Weights[0]]
			if len(w) != 1 || w[0].Quantised() {
				return nil, fmt.Errorf("observe: %s: want one matrix that is not quantised", step.Weights[0])
			}
			if step.Op == kernels.Route {
				s.router = w[0]
			} else {
				s.scale = w[0].F
			}
		}
	}
	return s, nil
}

// draw fills the input of the experts of a token [emb] and its probabilities [experts].
func (s *source) draw(x, probs []float32) {
	squares := 0.0
	for i := range x {
		v := s.rng.NormFloat64()
		squares += v * v
		x[i] = float32(v)
	}
	norm := 1 / math.Sqrt(squares/float64(len(x))+1e-5)
	clear(s.logits)
	for i := range x {
		x[i] = float32(float64(x[i])*norm) * s.scale[i]
		for e := range s.logits {
			s.logits[e] += float64(x[i]) * float64(s.router.F[i*s.router.Out+e])
		}
	}
	most, sum := math.Inf(-1), 0.0
	for _, l := range s.logits {
		most = max(most, l)
	}
	for _, l := range s.logits {
		sum += math.Exp(l - most)
	}
	for e, l := range s.logits {
		probs[e] = float32(math.Exp(l-most) / sum)
	}
}
