package actors

import (
	"context"
	"fmt"
	"math"
	"slices"

	"troupe/actors/internal/wire"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
	"troupe/stages/sched"
)

// What a head wants opened, as a worker reads it.

// mostBatches bounds the slots of a crew (M2), mostCrewRows the rows of a batch.
const (
	mostBatches  = 1 << 10
	mostCrewRows = 1 << 16
)

// options are those of an engine that has the parts and no others.
func (w *Worker) options(c model.Config, m *wire.Open) (o Options, err error) {
	if int(m.Device) >= len(w.o.Devices) {
		return o, fmt.Errorf("device %d, but there are %d", m.Device, len(w.o.Devices))
	}
	for _, l := range []struct {
		name  string
		value uint32
		most  int
	}{{"batches", m.Batches, mostBatches}, {"rows", m.Rows, mostCrewRows}, {"draws", m.Draws, mostCrewRows}, {"sequences", m.Sequences, mostCrewRows},
		{"experts", m.Experts, c.Model.NumExperts}, {"blocks", m.Blocks, math.MaxInt32}} {
		if l.value < 1 || int64(l.value) > int64(l.most) {
			return o, fmt.Errorf("%d %s, want 1 to %d", l.value, l.name, l.most)
		}
	}
	o = Options{Model: c, Net: w.o.Net, Log: w.o.Log, VerifyFraction: m.Verify, Events: w.o.Events}
	if o.Arith, err = kernels.ParseArith(m.Arith); err != nil {
		return o, err
	}
	binding := m.Binding
	if w.o.Binding != "" {
		binding = w.o.Binding
	}
	if o.Binding, err = kernels.ParseBinding(binding); err != nil {
		return o, err
	}
	if !(m.Verify >= -1 && m.Verify <= 1) {
		return o, fmt.Errorf("verify fraction %v, want -1 to 1", m.Verify)
	}
	o.fillShared()
	o.Sched = sched.Config{Model: c, Stages: max(1, len(m.Stages)), Batches: int(m.Batches), Rows: int(m.Rows), Draws: int(m.Draws),
		Sequences: int(m.Sequences), Blocks: int(m.Blocks)}
	return o, w.place(&o, m)
}

// place makes a placement of what is to be opened, with everything else left out.
func (w *Worker) place(o *Options, m *wire.Open) error {
	c := o.Model.Model
	o.Placement = place.Plan{Devices: []place.Device{w.o.Devices[m.Device].Device}, Experts: make([][]int, c.NumLayers)}
	for i, s := range m.Stages {
		span := stages.Span{Lo: int(s.GetLo()), Hi: int(s.GetHi())}
		if i > 0 && s.GetStage() <= m.Stages[i-1].GetStage() || i > 0 && s.GetLo() < m.Stages[i-1].GetHi() {
			return fmt.Errorf("stage %d with layers from %d behind stage %d with layers to %d: want them in order, each once", s.GetStage(), s.GetLo(), m.Stages[i-1].GetStage(), int(m.Stages[i-1].GetHi())-1)
		}
		if span.Lo >= span.Hi || span.Hi > c.NumLayers {
			return fmt.Errorf("stage %d: layers %d to %d, want a run within 0 to %d", s.GetStage(), span.Lo, span.Hi-1, c.NumLayers-1)
		}
		o.Placement.Stages = append(o.Placement.Stages, place.Stage{Span: span})
	}
	for l := range o.Placement.Experts {
		o.Placement.Experts[l] = slices.Repeat([]int{-1}, c.NumExperts)
	}
	for _, h := range m.Homes {
		if int(h.GetLayer()) >= c.NumLayers {
			return fmt.Errorf("experts of layer %d, want 0 to %d", h.GetLayer(), c.NumLayers-1)
		}
		for _, x := range h.GetExperts() {
			if int(x) >= c.NumExperts {
				return fmt.Errorf("expert %d of layer %d, want 0 to %d", x, h.GetLayer(), c.NumExperts-1)
			}
			if o.Placement.Experts[h.GetLayer()][x] == 0 {
				return fmt.Errorf("expert %d of layer %d stands twice", x, h.GetLayer())
			}
			o.Placement.Experts[h.GetLayer()][x] = 0
		}
	}
	return nil
}

// contentsOf is what is to be opened.
func contentsOf(m *wire.Open) (c contents) {
	for _, s := range m.Stages {
		c.stages = append(c.stages, located{int(s.GetStage()), stages.Span{Lo: int(s.GetLo()), Hi: int(s.GetHi())}})
	}
	for _, h := range m.Homes {
		for _, x := range h.GetExperts() {
			c.experts = append(c.experts, Part{ExpertPart, int(h.GetLayer()), int(x)})
		}
	}
	return c
}

// fits refuses what a device has no memory for beside what is there. The caller has s.order.
func (w *Worker) fits(s *session, m *wire.Open, o Options) error {
	have := w.o.Devices[m.Device].Memory
	if have == 0 {
		return nil
	}
	all := contentsOf(m)
	for _, k := range s.crews {
		if k.device == m.Device {
			all.stages, all.experts = append(all.stages, k.living.stages...), append(all.experts, k.living.experts...)
		}
	}
	return o.room(all, have, fmt.Sprintf("device %d", m.Device))
}

// loaded are weights that have been opened for a crew.
type loaded struct {
	weights stages.Weights
	close   func() error
}

// prepare checks what a head wants opened, and opens the weights for it.
func (w *Worker) prepare(ctx context.Context, s *session, m *wire.Open) (o Options, l loaded, err error) {
	if o, err = w.options(s.model, m); err != nil {
		return o, l, err
	}
	if err = checkFits(o.Model, model.NewPlan(o.Model)); err != nil {
		return o, l, err
	}
	s.order <- struct{}{}
	err = w.fits(s, m, o)
	<-s.order
	if err != nil {
		return o, l, err
	}
	l.weights, l.close, err = s.load(ctx, contentsOf(m).spans(), func(layer, expert int) bool { return o.Placement.Experts[layer][expert] >= 0 })
	return o, l, err
}
