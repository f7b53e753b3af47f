package load

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"troupe/kernels"
	"troupe/model"
	"troupe/surgery"
	"troupe/tensor"
)

// Overlay rearranges the experts of a model that was opened with its own configuration: m.Config and m.Weights are
// those of the new model afterwards, also for Repack, WritePacked and WriteXAI. Experts that are copies share the
// checkpoint's memory; columns of the router, averages and noisy copies are computed into memory of their own, whose
// bytes are returned. It has to be called before Repack, and once. The error is ErrMemory, before anything is done,
// when the system has not got the memory.
func (m *Model) Overlay(ctx context.Context, o *surgery.Overlay, opt WorkOptions) (bytes int64, err error) {
	if m.changed != nil || m.arena != nil {
		return 0, errors.New("BUG: load: an overlay behind another or behind repacking")
	}
	config, err := o.Config(m.Config)
	if err != nil {
		return 0, err
	}
	s := newOperation(m, o)
	for l := range o.Layers {
		s.layer(l)
	}
	if err := opt.room(s.bytes); err != nil {
		return s.bytes, fmt.Errorf("overlay: %w: free memory, or write the model once and for all (troupe convert --overlay)", err)
	}
	arena, err := tensor.NewHugeArena("overlay", max(int(s.bytes), 1)) // a part of a model may need no memory
	if err != nil {
		return s.bytes, err
	}
	if err := s.fill(ctx, arena, opt); err != nil {
		return s.bytes, errors.Join(err, arena.Close())
	}
	m.Config, m.made, m.changed = config, arena, s.parts
	for name, list := range s.weights {
		m.Weights[name] = list
	}
	return s.bytes, nil
}

// operation is an overlay in the doing: what is copied is at its place from the beginning, what is made has a unit
// that fills it.
type operation struct {
	model   *Model
	overlay *surgery.Overlay
	index   map[string]int // of tensors
	plan    model.Plan
	units   []making
	alike   []alike
	bytes   int64 // of all units
	parts   map[string][]part
	weights map[string][]*kernels.Weight
}

// making is one matrix to compute.
type making struct {
	dst   *kernels.Weight
	part  *part // gets the memory of dst
	size  int   // bytes of the values
	bytes int64 // of the arena
	run   func() error
}

// alike are two experts with the same matrix, which is made for the first of them.
type alike struct{ part, first *part }

func newOperation(m *Model, o *surgery.Overlay) *operation {
	short := m.Config
	short.SequenceLen = 1 // names are wanted, not the table of rotary angles
	s := &operation{model: m, overlay: o, index: map[string]int{}, plan: model.NewPlan(short), parts: map[string][]part{}, weights: map[string][]*kernels.Weight{}}
	for i, t := range m.Checkpoint.Tensors {
		s.index[t.Name] = i
	}
	return s
}

// layer arranges the tensors of one layer.
func (s *operation) layer(l int) {
	for _, name := range s.plan.Expert(l).Weights {
		s.matrices(name, s.overlay.Layers[l])
	}
	for _, step := range s.plan.Before(l) {
		if step.Op == kernels.Route {
			s.router(step.Weights[0], s.overlay.Layers[l])
		}
	}
}

// matrices arranges one of the matrices of each expert.
func (s *operation) matrices(name string, experts []surgery.Expert) {
	i := s.index[name]
	if s.model.Checkpoint.Tensors[i].None() {
		s.weights[name] = make([]*kernels.Weight, len(experts))
		return
	}
	old, from := s.model.parts(i), s.model.Weights[name]
	parts, weights := make([]part, len(experts)), make([]*kernels.Weight, len(experts))
	for j, e := range experts {
		if !e.Made() {
			parts[j], weights[j] = old[e.Weights[0].Expert], from[e.Weights[0].Expert]
			continue
		}
		first := slices.IndexFunc(experts[:j], e.SameWeights)
		if first >= 0 {
			if weights[j] = weights[first]; weights[j] == nil {
				continue
			}
			s.alike = append(s.alike, alike{&parts[j], &parts[first]})
			continue
		}
		sources, bytes := make([]*kernels.Weight, len(e.Weights)), make([][]byte, len(e.Weights))
		for n, t := range e.Weights {
			if sources[n] = from[t.Expert]; sources[n] == nil {
				continue
			}
			if bytes[n] = old[t.Expert].data; bytes[n] == nil {
				bytes[n] = old[t.Expert].panels
			}
		}
		if missing(sources) { // a part of the model was opened, for other experts
			continue
		}
		w := *sources[0]
		w.Q, w.F, w.Scales = nil, nil, nil
		weights[j] = &w
		s.make(&w, &parts[j], sources[0].Quantised(), func() error {
			return s.throughAll(i, bytes, func() error { return surgery.Weigh(&w, sources, e) })
		})
	}
	s.parts[name], s.weights[name] = parts, weights
}

// router arranges the columns of a router.
func (s *operation) router(name string, experts []surgery.Expert) {
	i := s.index[name]
	old := s.model.Weights[name][0]
	if old == nil {
		return
	}
	w := &kernels.Weight{Name: name, In: old.In, Out: len(experts)}
	parts := make([]part, 1)
	s.parts[name], s.weights[name] = parts, []*kernels.Weight{w}
	s.make(w, &parts[0], false, func() error {
		return s.throughAll(i, [][]byte{s.model.Checkpoint.Tensors[i].Data}, func() error { return surgery.Columns(w, old, experts) })
	})
}

// make adds a unit, whose memory fill cuts.
func (s *operation) make(w *kernels.Weight, p *part, quantised bool, run func() error) {
	u := making{dst: w, part: p, size: 4 * w.In * w.Out, run: run}
	if quantised {
		w.Panels = true
		u.size = kernels.PanelSize(w.In, w.Out, w.Groups)
	}
	const align = 64 // of an arena
	u.bytes = int64(u.size+align-1) / align * align
	s.bytes += u.bytes
	s.units = append(s.units, u)
}

// throughAll runs use on several parts of one tensor of the checkpoint.
func (s *operation) throughAll(i int, parts [][]byte, use func() error) error {
	if len(parts) == 0 {
		return use()
	}
	return s.model.Checkpoint.Through(i, parts[0], func() error { return s.throughAll(i, parts[1:], use) })
}

// fill cuts memory for all units and runs them, several at a time.
func (s *operation) fill(ctx context.Context, arena *tensor.Arena, opt WorkOptions) error {
	for _, u := range s.units {
		b, err := arena.Bytes(u.size)
		if err != nil {
			return err
		}
		u.part.made = u.dst
		if u.dst.Panels {
			u.dst.Q, u.part.panels = tensor.Int8s(b), b
			u.dst.Scales = make([]float32, u.dst.Groups*u.dst.Out)
			continue
		}
		if f, copied := tensor.Float32s(b); !copied {
			u.dst.F = f
		} else { // a machine whose files are copied as well
			u.dst.F = make([]float32, u.dst.In*u.dst.Out)
		}
	}
	for _, a := range s.alike {
		*a.part = *a.first
	}
	return opt.each(ctx, "overlay", len(s.units), s.bytes, func(n int) (int64, error) {
		return s.units[n].bytes, s.units[n].run()
	})
}
