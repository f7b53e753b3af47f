package surgery

import (
	"errors"
	"fmt"
)

// Then is the overlay that does what o does and then what next, which was made for a model with o's experts. Averages
// of averages become one average of old experts: an int8 matrix is rounded once, where two steps over checkpoints
// would round it twice. Noise is not added up or averaged: that is an error.
func (o *Overlay) Then(next *Overlay) (*Overlay, error) {
	if len(next.Layers) != len(o.Layers) || next.Experts != o.NumExperts() {
		return nil, fmt.Errorf("surgery: an overlay for %d layers of %d experts behind one that leaves %d of %d: make it with that one as --overlay", len(next.Layers), next.Experts, len(o.Layers), o.NumExperts())
	}
	out := &Overlay{Experts: o.Experts, Selected: next.Selected, Note: next.Note}
	if both := o.Note + "; " + next.Note; o.Note != "" && len(both) <= maxNote {
		out.Note = both
	}
	for l, experts := range next.Layers {
		layer := make([]Expert, len(experts))
		for j, e := range experts {
			var err error
			if layer[j], err = e.over(o.Layers[l]); err != nil {
				return nil, fmt.Errorf("surgery: layer %d: expert %d: %w", l, j, err)
			}
		}
		out.Layers = append(out.Layers, layer)
	}
	return out, out.Check()
}

// over is the expert with what it is made of looked up in the layer below.
func (e Expert) over(below []Expert) (Expert, error) {
	if !e.Made() && len(e.Router) == 1 && e.Router[0].Expert == e.Weights[0].Expert {
		return below[e.Router[0].Expert], nil
	}
	for _, m := range []Mix{e.Router, e.Weights} {
		for _, t := range m {
			if below[t.Expert].Noise > 0 {
				return e, errors.New("made of an expert with noise: add noise last, or go on from a checkpoint (troupe convert --overlay)")
			}
		}
	}
	e.Router = e.Router.over(below, func(x Expert) Mix { return x.Router })
	e.Weights = e.Weights.over(below, func(x Expert) Mix { return x.Weights })
	return e, nil
}

func (m Mix) over(below []Expert, of func(Expert) Mix) Mix {
	var terms []Term
	for _, t := range m {
		for _, under := range of(below[t.Expert]) {
			terms = append(terms, Term{under.Expert, t.Share * under.Share})
		}
	}
	return mixOf(terms)
}
