// Package solo runs a model the plainest way: one stage with all its experts in one goroutine, one
// sequence, no actors and no scheduler. It is the yardstick for both: the same kernels must give the same
// bits, and take hardly longer when messages carry the batches.
package solo

import (
	"errors"
	"fmt"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

// Options say what to run.
type Options struct {
	Config  model.Config
	Weights stages.Weights
	Arith   kernels.Arith
	Binding kernels.Binding
	Threads int
	Rows    int        // longest prompt; 0: the model's context
	Tap     stages.Tap // may be nil
}

// Loop is a model ready to run.
type Loop struct {
	Policy router.Policy
	// Routed, when set, sees the routing of every layer before the experts run.
	Routed func(layer int, b *stages.Batch)

	config  model.Config
	plan    model.Plan
	libs    *stages.Libraries
	stage   *stages.Stage
	experts *stages.Experts
	batch   *stages.Batch
	table   []int32
}

// New compiles a whole model, with a cache for one sequence.
func New(o Options) (*Loop, error) {
	c := o.Config
	l := &Loop{config: c, plan: model.NewPlan(c), libs: stages.OpenLibraries(o.Arith, o.Binding, kernels.SameThreads(o.Threads)),
		Policy: router.Uniform(c.Model.NumSelectedExperts)}
	if err := l.open(o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Loop) open(o Options) (err error) {
	c := o.Config
	blocks := (c.SequenceLen + kernels.BlockTokens - 1) / kernels.BlockTokens
	for i := range blocks {
		l.table = append(l.table, int32(blocks-1-i)) // in no order that a kernel could take for granted
	}
	size := stages.CacheSize{Blocks: blocks, Half: stages.HalfCache(o.Arith)}
	if l.stage, err = stages.NewStage(c, l.plan, stages.Span{Lo: 0, Hi: c.Model.NumLayers}, o.Weights, l.libs, size, o.Tap); err != nil {
		return err
	}
	l.experts = stages.NewExperts(l.plan)
	for layer := range c.Model.NumLayers {
		for e := range c.Model.NumExperts {
			if err := l.experts.Add(layer, e, o.Weights, l.libs); err != nil {
				return err
			}
		}
	}
	rows := o.Rows
	if rows == 0 {
		rows = c.SequenceLen
	}
	l.batch, err = stages.NewBatch(l.plan, stages.Limits{Rows: rows, Draws: rows, Sequences: 1, Experts: c.Model.NumExperts})
	return err
}

// Close gives back caches and libraries.
func (l *Loop) Close() error {
	var errs []error
	if l.batch != nil {
		errs = append(errs, l.batch.Close())
	}
	if l.stage != nil {
		errs = append(errs, l.stage.Close())
	}
	return errors.Join(append(errs, l.libs.Close())...)
}

// run seals the batch and takes it through all layers.
func (l *Loop) run() ([]stages.Drawn, error) {
	b := l.batch
	b.Seal()
	for {
		layer, done, err := l.stage.Advance(b)
		if err != nil || done {
			return b.Drawn, err
		}
		groups, err := b.Route(l.plan.Probs, layer)
		if err != nil {
			return nil, err
		}
		if l.Routed != nil {
			l.Routed(layer, b)
		}
		for _, g := range groups {
			if err := l.experts.Run(b, layer, int(g.Expert), stages.WorkOf(g)); err != nil {
				return nil, err
			}
		}
	}
}

// prompt fills the batch with a whole prompt; pad tokens are treated as the scheduler treats them, and
// bucket is the length that the reference would pad the prompt to (0: its own). draw asks for each
// position's logits.
func (l *Loop) prompt(ids []int32, bucket int, draw func(at int)) {
	pad := int32(l.config.PadToken)
	first, rows := 0, len(ids)
	for first < len(ids) && ids[first] == pad {
		first++
	}
	if first > 0 {
		rows = max(rows, bucket)
	}
	var skip []int32
	for i := first; i < rows; i++ {
		if i >= len(ids) || ids[i] == pad {
			skip = append(skip, int32(i))
		}
	}
	l.batch.Reset(0, 0)
	seq := l.batch.AddSequence(l.table, skip, l.Policy)
	for i := range rows {
		row := stages.Row{Token: pad, Pos: int32(i), First: int32(first), Prompt: true}
		if i < first || first == len(ids) {
			row.Keyless = int32(rows)
		}
		if i < len(ids) {
			row.Token = ids[i]
		}
		l.batch.AddRow(seq, row)
		if i < len(ids) {
			draw(i)
		}
	}
}

// Prefill runs a prompt in one batch and returns the logits of every position.
func (l *Loop) Prefill(ids []int32, bucket int) ([][]float32, error) {
	l.prompt(ids, bucket, func(int) { l.batch.AddDraw(stages.Draw{Kind: stages.Logits}) })
	drawn, err := l.run()
	logits := make([][]float32, len(drawn))
	for i, d := range drawn {
		logits[i] = d.Logits
	}
	return logits, err
}

// decode fills the batch with one generated token; first is the number of pads before the prompt.
func (l *Loop) decode(id int32, pos, first int, d stages.Draw) (stages.Drawn, error) {
	l.batch.Reset(0, 0)
	l.batch.AddRow(l.batch.AddSequence(l.table, nil, l.Policy), stages.Row{Token: id, Pos: int32(pos), First: int32(first)})
	l.batch.AddDraw(d)
	drawn, err := l.run()
	if err != nil {
		return stages.Drawn{}, err
	}
	return drawn[0], drawn[0].Err
}

// Decode runs one generated token at a position and returns its logits.
func (l *Loop) Decode(id int32, pos, first int) ([]float32, error) {
	d, err := l.decode(id, pos, first, stages.Draw{Kind: stages.Logits})
	return d.Logits, err
}

// Loss is the summed negative log probability of a document's ids after the first.
func (l *Loop) Loss(ids []int32) (float64, error) {
	l.prompt(ids[:len(ids)-1], 0, func(at int) { l.batch.AddDraw(stages.Draw{Kind: stages.Score, Target: ids[at+1]}) })
	drawn, err := l.run()
	sum := 0.0
	for _, d := range drawn {
		if err == nil {
			err = d.Err
		}
		sum -= float64(d.LogProb)
	}
	return sum, err
}

// Generate calls yield for n new tokens after a prompt that does not begin with pads.
func (l *Loop) Generate(ids []int32, n int, p sample.Params, yield func(stages.Drawn)) error {
	at := len(ids)
	l.prompt(ids, 0, func(i int) {
		if i == at-1 {
			l.batch.AddDraw(stages.Draw{Position: at, Params: p})
		}
	})
	drawn, err := l.run()
	if err == nil {
		err = drawn[0].Err
	}
	for i := 0; err == nil; at++ {
		d := drawn[0]
		yield(d)
		if i++; i == n {
			return nil
		}
		_, err = l.decode(d.Token, at, 0, stages.Draw{Position: at + 1, Step: i, Params: p})
		drawn = l.batch.Drawn
	}
	return fmt.Errorf("token at position %d: %w", at, err)
}
