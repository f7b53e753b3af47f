package place

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
)

// Stored is how a tensor is stored.
type Stored struct {
	Groups int  // of scales of an int8 matrix; 0: float32
	Panels bool // int8 values in panels, whose edges are padded
}

// Storage says how a tensor is stored. The nil Storage takes int8 wherever the configuration allows it, with the
// most groups, as pickles have it.
type Storage func(t model.Tensor) Stored

func (s Storage) of(t model.Tensor) Stored {
	if s != nil {
		return s(t)
	}
	if len(t.Int8) == 0 {
		return Stored{}
	}
	return Stored{Groups: t.Int8[len(t.Int8)-1]}
}

// Bytes is what a tensor takes in memory: float32 values, or int8 values with float32 scales for each
// group of inputs and each output.
func (s Storage) Bytes(t model.Tensor) int64 {
	n, how := elements(t), s.of(t)
	if how.Groups == 0 {
		return 4 * n
	}
	in, out := t.Shape[len(t.Shape)-2], t.Shape[len(t.Shape)-1]
	matrices := n / (int64(in) * int64(out))
	values := n
	if how.Panels {
		values = matrices * int64(kernels.PanelSize(in, out, how.Groups))
	}
	return values + 4*matrices*int64(out)*int64(how.Groups)
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
// ownHead: the embedding is not the head.
func (w weights) ofStage(s stages.Span, ownHead bool, names map[string]bool) {
	add := func(steps []model.Step) {
		for _, step := range steps {
			for _, name := range step.Weights {
				if step.Op != kernels.Head || !ownHead {
					names[name] = true
				}
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
