package golden

import (
	"errors"

	"troupe/internal/load"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// Loop runs a whole model as one stage with its experts beside it.
type Loop struct {
	Batch  *stages.Batch
	Policy router.Policy
	// Routed, when set, sees the routing of every layer before the experts run.
	Routed func(layer int, b *stages.Batch)

	plan    model.Plan
	config  model.Config
	libs    *stages.Libraries
	stage   *stages.Stage
	experts *stages.Experts
	table   []int32
}

// NewLoop compiles a model for one sequence of up to rows tokens.
func NewLoop(m *load.Model, arith kernels.Arith, binding string, threads, rows int, tap stages.Tap) (*Loop, error) {
	bind, err := kernels.ParseBinding(binding)
	if err != nil {
		return nil, err
	}
	c := m.Config.Model
	l := &Loop{plan: m.Plan, config: m.Config, Policy: router.Uniform(c.NumSelectedExperts)}
	l.libs = stages.OpenLibraries(arith, bind, threads)
	size := stages.CacheSize{Blocks: (m.Config.SequenceLen + kernels.BlockTokens - 1) / kernels.BlockTokens, Half: stages.HalfCache(arith)}
	for i := range size.Blocks {
		l.table = append(l.table, int32(size.Blocks-1-i))
	}
	if l.stage, err = stages.NewStage(m.Config, m.Plan, stages.Span{Lo: 0, Hi: c.NumLayers}, m.Weights, l.libs, size, tap); err != nil {
		return nil, err
	}
	l.experts = stages.NewExperts(m.Plan)
	for layer := range c.NumLayers {
		for e := range c.NumExperts {
			if err := l.experts.Add(layer, e, m.Weights, l.libs); err != nil {
				return nil, err
			}
		}
	}
	l.Batch, err = stages.NewBatch(m.Plan, stages.Limits{Rows: rows, Draws: rows, Sequences: 1, Experts: c.NumExperts})
	return l, err
}

// Close gives back memory and threads.
func (l *Loop) Close() error {
	return errors.Join(l.Batch.Close(), l.stage.Close(), l.libs.Close())
}

// Prefill runs a prompt in one batch and returns the logits of every position. Pad tokens are treated
// as the scheduler treats them; bucket is the length that the reference pads the prompt to.
func (l *Loop) Prefill(prompt []int32, bucket int) ([][]float32, error) {
	pad := int32(l.config.PadToken)
	first := 0
	for first < len(prompt) && prompt[first] == pad {
		first++
	}
	rows := len(prompt)
	if first > 0 {
		rows = max(rows, bucket)
	}
	var skip []int32
	for i := first; i < rows; i++ {
		if i >= len(prompt) || prompt[i] == pad {
			skip = append(skip, int32(i))
		}
	}
	l.begin(skip)
	for i := range rows {
		row := stages.Row{Token: pad, Pos: int32(i), First: int32(first), Prompt: true}
		if i < first || first == len(prompt) {
			row.Keyless = int32(rows)
		}
		if i < len(prompt) {
			row.Token = prompt[i]
		}
		l.Batch.AddRow(0, row)
		if i < len(prompt) {
			l.Batch.AddDraw(stages.Draw{Kind: stages.Logits})
		}
	}
	return l.run()
}

// Decode runs one generated token at a position; first is the number of pads before the prompt.
func (l *Loop) Decode(token int32, pos, first int) ([]float32, error) {
	l.begin(nil)
	l.Batch.AddRow(0, stages.Row{Token: token, Pos: int32(pos), First: int32(first)})
	l.Batch.AddDraw(stages.Draw{Kind: stages.Logits})
	out, err := l.run()
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (l *Loop) begin(skip []int32) {
	l.Batch.Reset(0, 0)
	l.Batch.AddSequence(l.table, skip, l.Policy)
}

func (l *Loop) run() ([][]float32, error) {
	l.Batch.Seal()
	if err := l.Step(); err != nil {
		return nil, err
	}
	out := make([][]float32, len(l.Batch.Drawn))
	for i, d := range l.Batch.Drawn {
		out[i] = d.Logits
	}
	return out, nil
}

// Step takes the sealed batch through the model.
func (l *Loop) Step() error {
	for {
		layer, done, err := l.stage.Advance(l.Batch)
		if done || err != nil {
			return err
		}
		groups, err := l.Batch.Route(l.plan.Probs, layer)
		if err != nil {
			return err
		}
		if l.Routed != nil {
			l.Routed(layer, l.Batch)
		}
		for _, g := range groups {
			if err := l.experts.Run(l.Batch, layer, int(g.Expert), stages.WorkOf(g)); err != nil {
				return err
			}
		}
	}
}
