package place

import (
	"troupe/model"
	"troupe/stages"
)

// Storage says how a tensor is stored: in how many groups of scales it is int8, or 0 for float32. The nil
// Storage takes int8 wherever the configuration allows it, with the most groups.
type Storage func(t model.Tensor) int

func (s Storage) groups(t model.Tensor) int {
	if s != nil {
		return s(t)
	}
	if len(t.Int8) == 0 {
		return 0
	}
	return t.Int8[len(t.Int8)-1]
}

// Bytes is what a tensor takes in memory: float32 values, or int8 values with float32 scales for each
// group of inputs and each output.
func (s Storage) Bytes(t model.Tensor) int64 {
	n, groups := elements(t), s.groups(t)
	if groups == 0 {
		return 4 * n
	}
	inputs := int64(t.Shape[len(t.Shape)-2])
	return n + 4*n/inputs*int64(groups)
}

// elements counts the values of a tensor of a valid configuration, whose sizes model.Validate bounds.
func elements(t model.Tensor) int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// weights are a model's tensors, and who uses them.
type weights struct {
	config  model.Config
	plan    model.Plan
	tensors []model.Tensor
	expert  map[string]bool // names of tensors that have a part for every expert
}

func newWeights(c model.Config) weights {
	short := c
	short.SequenceLen = 1 // names and sizes are wanted, not the table of rotary angles
	w := weights{config: c, plan: model.NewPlan(short), tensors: model.Tensors(c), expert: map[string]bool{}}
	for l := range c.Model.NumLayers {
		for _, name := range w.plan.Expert(l).Weights {
			w.expert[name] = true
		}
	}
	return w
}

// share is the part of a tensor that tokens are expected to use.
func (w weights) share(t model.Tensor, count func(layer int) int, tokens int) float64 {
	if !w.expert[t.Name] {
		return 1
	}
	experts := w.config.Model.NumExperts
	return ExpertsHit(experts, count(t.Layer), tokens) / float64(experts)
}

// ofStage collects the names of what a span of layers reads, experts apart: as stages.NewStage does.
func (w weights) ofStage(s stages.Span, names map[string]bool) {
	add := func(steps []model.Step) {
		for _, step := range steps {
			for _, name := range step.Weights {
				names[name] = true
			}
		}
	}
	if s.Lo == 0 {
		add(w.plan.Embed)
	}
	for l := s.Lo; l < s.Hi; l++ {
		add(w.plan.Before(l))
		add(w.plan.After(l))
	}
	if s.Hi == w.config.Model.NumLayers {
		add(w.plan.Head)
	}
}
