package toy

import (
	"fmt"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

// Loop is a model in one goroutine: one stage with all its experts, one sequence, no actors and no
// scheduler. It is the yardstick for both: the same kernels must give the same bits, and take hardly
// longer when messages carry the batches.
type Loop struct {
	config  model.Config
	plan    model.Plan
	libs    *stages.Libraries
	stage   *stages.Stage
	experts *stages.Experts
	batch   *stages.Batch
	table   []int32
}

// NewLoop compiles a whole model for sequences of up to c.SequenceLen positions, and batches of as many
// rows.
func NewLoop(c model.Config, w stages.Weights, arith kernels.Arith, binding kernels.Binding, threads int) (*Loop, error) {
	l := &Loop{config: c, plan: model.NewPlan(c), libs: stages.OpenLibraries(arith, binding, threads)}
	if err := l.open(w, arith); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Loop) open(w stages.Weights, arith kernels.Arith) (err error) {
	c := l.config
	blocks := (c.SequenceLen + kernels.BlockTokens - 1) / kernels.BlockTokens
	for i := range blocks {
		l.table = append(l.table, int32(i))
	}
	size := stages.CacheSize{Blocks: blocks, Half: stages.HalfCache(arith)}
	if l.stage, err = stages.NewStage(c, l.plan, stages.Span{Lo: 0, Hi: c.Model.NumLayers}, w, l.libs, size, nil); err != nil {
		return err
	}
	l.experts = stages.NewExperts(l.plan)
	for layer := range c.Model.NumLayers {
		for e := range c.Model.NumExperts {
			if err := l.experts.Add(layer, e, w, l.libs); err != nil {
				return err
			}
		}
	}
	n := c.SequenceLen
	l.batch, err = stages.NewBatch(l.plan, stages.Limits{Rows: n, Draws: n, Sequences: 1, Experts: c.Model.NumExperts})
	return err
}

// Close gives back caches and libraries.
func (l *Loop) Close() {
	if l.batch != nil {
		l.batch.Close()
	}
	if l.stage != nil {
		l.stage.Close()
	}
	l.libs.Close()
}

// Run takes a sealed batch through all layers.
func (l *Loop) Run(b *stages.Batch) error {
	for {
		layer, done, err := l.stage.Advance(b)
		if err != nil || done {
			return err
		}
		groups, err := b.Route(l.plan.Probs, layer)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := l.experts.Run(b, layer, int(g.Expert), stages.WorkOf(g)); err != nil {
				return err
			}
		}
	}
}

// pads are the positions of pad tokens inside a prompt: they are no keys for its rows.
func (l *Loop) pads(prompt []int32) (at []int32) {
	for i, token := range prompt {
		if token == int32(l.config.PadToken) {
			at = append(at, int32(i))
		}
	}
	return at
}

// Generate calls yield for n new tokens after a prompt that does not begin with pads. The whole prompt
// is one batch.
func (l *Loop) Generate(prompt []int32, n int, p sample.Params, policy router.Policy, yield func(stages.Drawn)) error {
	b, rows, pads := l.batch, prompt, l.pads(prompt)
	for i, at := 0, 0; i < n; i++ {
		b.Reset(uint64(i), 0)
		seq := b.AddSequence(l.table, pads, policy)
		for _, token := range rows {
			b.AddRow(seq, stages.Row{Token: token, Pos: int32(at), Prompt: i == 0})
			at++
		}
		b.AddDraw(stages.Draw{Position: at, Step: i, Params: p})
		b.Seal()
		if err := l.Run(b); err != nil {
			return fmt.Errorf("token %d: %w", i, err)
		}
		d := b.Drawn[0]
		if d.Err != nil {
			return fmt.Errorf("token %d: %w", i, d.Err)
		}
		yield(d)
		rows = append(rows[:0:0], d.Token)
	}
	return nil
}

// Logits are those of every position of a prompt that does not begin with pads, [positions V].
func (l *Loop) Logits(prompt []int32, policy router.Policy) ([][]float32, error) {
	b := l.batch
	b.Reset(0, 0)
	seq := b.AddSequence(l.table, l.pads(prompt), policy)
	for at, token := range prompt {
		b.AddRow(seq, stages.Row{Token: token, Pos: int32(at), Prompt: true})
		b.AddDraw(stages.Draw{Kind: stages.Logits, Position: at + 1})
	}
	b.Seal()
	if err := l.Run(b); err != nil {
		return nil, err
	}
	var all [][]float32
	for _, d := range b.Drawn {
		all = append(all, d.Logits)
	}
	return all, nil
}
