// Package observe runs texts through an engine and looks at every token at every layer: the router's
// probabilities, the gates, and what each expert would have said, chosen or not.
//
// It uses the engine as it is, with any stages and devices, under a policy by [router.Policy.Observed]: all experts
// compute every row, and those that the policy leaves out have gates of 0. One document runs at a time, so that the
// tokens of a layer come in the order of the text whatever the pipeline's shape: sums over them have the same bits.
// Memory is that of the engine's batches: nothing is kept here.
package observe

import (
	"context"
	"errors"
	"fmt"
	"math"

	"troupe/actors"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sched"
)

// Token is a token at a layer. It is valid during the call that it is given to.
type Token struct {
	Document int // its number in the texts
	Position int
	Probs    []float32 // [experts] the router's softmax
	Chosen   int       // how many experts the policy chose, 1 or more
	Ranked   []int32   // [experts] each once: the chosen ones, best first, then the others, likeliest first
	Gate     []float32 // [experts] by rank; 0 from Chosen on

	Outputs []float32 // [experts emb] by rank, without gates
}

// Output is what the expert of a rank made of the token, without its gate. [emb]
func (t *Token) Output(rank int) []float32 {
	emb := len(t.Outputs) / len(t.Ranked)
	return t.Outputs[rank*emb : (rank+1)*emb]
}

// Take is told of every token of a layer in the order of the text. Tokens of different layers come from several
// goroutines at once.
type Take func(layer int, t *Token)

// Observer looks at what an engine computes.
type Observer struct {
	config   model.Config
	plan     model.Plan
	take     Take // of the run
	document int
	length   int
	faults   []error // [layers]
}

// New makes an observer for a model. Its Look goes into the options of the engine that Run is then given.
func New(c model.Config) *Observer {
	return &Observer{config: c, plan: model.NewPlan(c), faults: make([]error, c.Model.NumLayers)}
}

// Look is for actors.Options.
func (o *Observer) Look(layer int, b *stages.Batch) {
	experts := o.config.Model.NumExperts
	probs, parts := b.Frame.Bufs[o.plan.Probs], b.Frame.Bufs[o.plan.Parts]
	emb := o.plan.Slots[o.plan.Parts].Width
	r := &b.Routing
	for i := range b.Frame.Rows.N {
		at := int(b.Frame.Rows.Pos[i])
		if at >= o.length || o.faults[layer] != nil { // padding, as a bucket has it
			continue
		}
		from, to := int(r.Start[i]), int(r.Start[i+1])
		t := Token{Document: o.document, Position: at, Probs: probs[i*experts : (i+1)*experts],
			Ranked: r.Expert[from:to], Gate: r.Gate[from:to], Outputs: parts[from*emb : to*emb]}
		if o.faults[layer] = t.check(layer, experts); o.faults[layer] == nil {
			o.take(layer, &t)
		}
	}
}

// check counts the chosen ones, and looks whether the token is what Take is promised.
func (t *Token) check(layer, experts int) error {
	for t.Chosen < len(t.Gate) && t.Gate[t.Chosen] > 0 {
		t.Chosen++
	}
	if len(t.Ranked) == experts && t.Chosen > 0 {
		sum := float32(0)
		for _, v := range t.Outputs {
			sum += v * 0
		}
		if sum == 0 {
			return nil
		}
	}
	return fmt.Errorf("observe: layer %d: document %d, token %d: the router or an expert gave numbers that are not finite: the weights or the arithmetic overflow (--arith exact has the widest range)",
		layer, t.Document, t.Position)
}

// Run takes documents, each the ids of one, through the engine under a policy, one after the other; of each all
// positions but the last are computed at least. report, which may be nil, is told how many tokens are done.
// After an error what has been taken is of no use, and neither is the engine. One run at a time, and nothing else on
// the engine meanwhile.
func (o *Observer) Run(ctx context.Context, e *actors.Engine, policy router.Policy, documents [][]int32, take Take, report func(done int64)) error {
	for l := range o.config.Model.NumLayers {
		if rule := policy.Rule(l); len(rule.Replace) > 0 {
			return errors.New("observe: a policy that replaces experts has not all of them computed: leave replace out")
		}
	}
	o.take = take
	clear(o.faults)
	done := int64(0)
	for d, ids := range documents {
		if len(ids) < 2 {
			continue // nothing is predicted, and no engine scores it
		}
		o.document, o.length = d, len(ids)-1
		if err := o.one(ctx, e, policy.Observed(), ids); err != nil {
			return fmt.Errorf("document %d: %w", d, err)
		}
		if done += int64(o.length); report != nil {
			report(done)
		}
	}
	o.length = 0 // whatever else the engine computes is not looked at
	return nil
}

// one runs a document and waits for its end: then no lane looks any more.
func (o *Observer) one(ctx context.Context, e *actors.Engine, policy router.Policy, ids []int32) error {
	stream, err := e.Submit(ctx, sched.Request{Prompt: ids, Policy: policy, EOS: -1, Mode: sched.Score})
	if err != nil {
		return err
	}
	for event := range stream.Events() {
		switch {
		case !event.Done && math.IsNaN(float64(event.LogProb)):
			return fmt.Errorf("token %d: its probability is not a number", event.Index)
		case event.Done && event.Err != nil:
			return event.Err
		case event.Done && event.Finish == sched.Cancelled:
			return context.Cause(ctx)
		}
	}
	for _, err := range o.faults {
		if err != nil {
			return err
		}
	}
	return nil
}
