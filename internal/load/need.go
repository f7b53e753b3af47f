package load

import (
	"context"
	"errors"
	"io/fs"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/surgery"
)

// Need tells which arrays of a model a process computes with. layer is -1 for the embedding and the last norm, expert
// -1 for a tensor without experts.
type Need func(tensor string, layer, expert int) bool

// NeedOf is what stages with these spans of layers, and these experts, compute with. expert is asked about layers and
// experts of the configuration alone, whatever is asked of the Need.
func NeedOf(c model.Config, spans []stages.Span, expert func(layer, expert int) bool) Need {
	short := c
	short.SequenceLen = 1 // names are wanted, not the table of rotary angles
	plan, last := model.NewPlan(short), c.Model.NumLayers
	names := map[string]bool{}
	add := func(steps []model.Step) {
		for _, s := range steps {
			for _, name := range s.Weights {
				names[name] = true
			}
		}
	}
	for _, span := range spans {
		if span.Lo == 0 {
			add(plan.Embed)
		}
		for l := span.Lo; l < span.Hi; l++ {
			add(plan.Before(l))
			add(plan.After(l))
		}
		if span.Hi == last {
			add(plan.Head)
		}
	}
	return func(tensor string, layer, e int) bool {
		if e < 0 {
			return names[tensor]
		}
		return layer >= 0 && layer < last && e < c.Model.NumExperts && expert(layer, e)
	}
}

// BeforeOverlay is what a model has to be opened with so that an overlay makes of it what need wants: of the stored
// model the experts that those of the new one are made of.
func BeforeOverlay(o *surgery.Overlay, need Need) Need {
	return func(tensor string, layer, expert int) bool {
		if expert < 0 {
			return need(tensor, layer, expert)
		}
		if layer < 0 || layer >= len(o.Layers) {
			return false
		}
		for e, made := range o.Layers[layer] {
			for _, term := range made.Weights {
				if term.Expert == expert && need(tensor, layer, e) {
					return true
				}
			}
		}
		return false
	}
}

// OpenPart is Open for a process that computes with a part of a model: nothing else is read, files of pickles of
// which nothing is needed may be missing, mapped pages that are not needed cost nothing, and weights that are not needed are nil, so that a stage or an expert that would compute
// with one is refused when it is compiled. Such a model can be repacked (its part alone is), not written.
//
// Where dir is of files that are [ckpt.Sparse], every byte that is needed has to be there; else the error says what is not.
func OpenPart(ctx context.Context, dir fs.FS, c model.Config, need Need, opt ckpt.Options) (*Model, error) {
	tensors := model.Tensors(c)
	opt.Need = func(i, expert int) bool { return need(tensors[i].Name, tensors[i].Layer, expert) }
	return Open(ctx, dir, c, opt)
}

// errPart is why a part of a model cannot be written.
var errPart = errors.New("load: a part of a model cannot be written: open the whole of it")

// missing tells whether any weight is not here.
func missing(list []*kernels.Weight) bool {
	for _, w := range list {
		if w == nil {
			return true
		}
	}
	return false
}
