package main

import (
	"github.com/urfave/cli/v2"

	"troupe/model"
	"troupe/surgery"
)

// tellOverlay says what an overlay does, and what it takes: the weights of both models, and what of the new one is
// no copy.
func (p *program) tellOverlay(c *cli.Context, out string, r rearranged, o *surgery.Overlay) error {
	var before planned
	if err := before.ofDirectory(c.Context, c.String("model"), ""); err != nil {
		return err
	}
	after, err := o.Config(r.files)
	if err != nil {
		return err
	}
	bytes := func(c model.Config) (sum int64) {
		for _, t := range model.Tensors(c) {
			sum += before.quantities.Storage.Bytes(t)
		}
		return sum
	}
	name := out
	if out == "-" {
		name = "overlay"
	}
	p.notice("%s: %s; a checkpoint of it would have %s of weights instead of %s, the overlay computes %s of expert matrices at each start", name,
		describeOverlay(r.files, o), humanBytes(bytes(after)), humanBytes(bytes(r.files)), humanBytes(before.made(o)))
	return nil
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
