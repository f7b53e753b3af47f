package main

import (
	"github.com/urfave/cli/v2"

	"troupe/model"
	"troupe/surgery"
)

// tellOverlay says what an overlay does, and what it takes: the weights of both models, and what of the new one is
// no copy.
func (p *program) tellOverlay(c *cli.Context, out string, r rearranged, o *surgery.Overlay) error {
	w, err := weighOverlay(c, r, o)
	if err != nil {
		return err
	}
	name := out
	if out == "-" {
		name = "overlay"
	}
	p.notice("%s: %s; a checkpoint of it would have %s of weights instead of %s, the overlay computes %s of expert matrices at each start", name,
		describeOverlay(r.files, o), humanBytes(w.after), humanBytes(w.before), humanBytes(w.made))
	return nil
}

// overlayBytes are the weights of a model's checkpoint, of one that an overlay makes of it, and of the matrices that
// the overlay computes.
type overlayBytes struct{ before, after, made int64 }

func weighOverlay(c *cli.Context, r rearranged, o *surgery.Overlay) (w overlayBytes, err error) {
	var before planned
	if err := before.ofDirectory(c.Context, c.String("model"), ""); err != nil {
		return w, err
	}
	after, err := o.Config(r.files)
	if err != nil {
		return w, err
	}
	bytes := func(c model.Config) (sum int64) {
		for _, t := range model.Tensors(c) {
			sum += before.quantities.Storage.Bytes(t)
		}
		return sum
	}
	return overlayBytes{bytes(r.files), bytes(after), before.made(o)}, nil
}

// made is the memory of the matrices that an overlay computes.
func (pl *planned) made(o *surgery.Overlay) (sum int64) {
	short := pl.config
	short.SequenceLen = 1 // names are wanted, not the table of rotary angles
	plan, byName := model.NewPlan(short), map[string]model.Tensor{}
	for _, t := range model.Tensors(pl.config) {
		byName[t.Name] = t
	}
	for l, experts := range o.Layers {
		for _, name := range plan.Expert(l).Weights {
			one := pl.quantities.Storage.Bytes(byName[name]) / int64(pl.config.Model.NumExperts)
			for _, e := range experts {
				if e.Made() {
					sum += one
				}
			}
		}
	}
	return sum
}
