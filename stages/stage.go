package stages

import (
	"errors"
	"fmt"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages/sample"
	"troupe/tensor"
)

// Span is a run of layers, Lo to Hi-1.
type Span struct{ Lo, Hi int }

// Stage takes batches through a span of layers. The first stage embeds, the last one draws.
type Stage struct {
	Span   Span
	config model.Config
	plan   model.Plan
	lane   *Programs
	sites  []int // sites[i] ends at the router of layer Lo+i; the last one leaves the span
	cache  kernels.Cache
	used   int // blocks of the cache, from the first, that rows have been written to
	arena  *tensor.Arena
	head   *tensor.Arena // of the head as int8; nil: none
	drawer *sample.Drawer
}

// CacheSize says how much KV cache a stage keeps.
type CacheSize struct {
	Blocks int  // of kernels.BlockTokens positions, shared by all sequences
	Half   bool // bfloat16 instead of float32
}

// HalfCache tells whether an arithmetic keeps keys and values in bfloat16, as the reference does;
// Exact keeps float32.
func HalfCache(a kernels.Arith) bool { return a != kernels.Exact }

// CacheBytes is the KV cache of a number of layers.
func CacheBytes(c model.Config, layers int, size CacheSize) int64 {
	elem := int64(4)
	if size.Half {
		elem = 2
	}
	return 2 * elem * int64(c.Model.NumKVHeads*c.Model.KeySize) * kernels.BlockTokens * int64(size.Blocks) * int64(layers)
}

// NewStage compiles a span. A nil tap costs nothing.
func NewStage(c model.Config, plan model.Plan, span Span, w Weights, libs *Libraries, size CacheSize, tap Tap) (*Stage, error) {
	if span.Lo < 0 || span.Hi > c.Model.NumLayers || span.Lo >= span.Hi {
		return nil, fmt.Errorf("stages: layers %d to %d: want a run within 0 to %d", span.Lo, span.Hi-1, c.Model.NumLayers-1)
	}
	s := &Stage{Span: span, config: c, plan: plan, lane: libs.lane}
	err := s.compile(w, libs, tap)
	if err == nil {
		err = s.newCache(size)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.last() {
		s.drawer = sample.NewDrawer(c.VocabSize)
	}
	return s, nil
}

func (s *Stage) last() bool { return s.Span.Hi == s.config.Model.NumLayers }

func (s *Stage) compile(w Weights, libs *Libraries, tap Tap) error {
	var calls []kernels.Call
	find := w.one
	add := func(steps []model.Step, layer int) error {
		more, err := resolve(steps, layer, find)
		calls = append(calls, more...)
		return err
	}
	end := func() error {
		at, err := libs.add(site{expert: -1, calls: calls, tap: tap}, s.plan.Slots)
		s.sites, calls = append(s.sites, at), nil
		return err
	}
	if s.Span.Lo == 0 {
		if err := add(s.plan.Embed, -1); err != nil {
			return err
		}
	}
	for l := s.Span.Lo; l < s.Span.Hi; l++ {
		if err := add(s.plan.Before(l), l); err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
		if err := add(s.plan.After(l), l); err != nil {
			return err
		}
	}
	if s.last() {
		if libs.Arith == kernels.Int8 {
			find = func(name string) (*kernels.Weight, error) { return s.int8Head(w, name) }
		}
		if err := add(s.plan.Head, -1); err != nil {
			return err
		}
	}
	return end()
}

// HeadBytes is the memory of the head that the last stage makes for an arithmetic, beside the embedding:
// Int8 has it as int8. 0: the embedding is the head.
func HeadBytes(c model.Config, a kernels.Arith) int64 {
	if a != kernels.Int8 {
		return 0
	}
	panels, scales := kernels.HeadBytes(c.Model.EmbSize, c.VocabSize)
	return panels + scales
}

// int8Head is a weight of the head under Int8: of a float32 matrix stored output by output, the int8 one.
func (s *Stage) int8Head(w Weights, name string) (*kernels.Weight, error) {
	found, err := w.one(name)
	if err != nil || !found.ByOutput || found.Quantised() {
		return found, err
	}
	panels, scales := kernels.HeadBytes(found.In, found.Out)
	if panels == 0 {
		return found, nil
	}
	if s.head, err = tensor.NewArena("head", int(panels+scales)+128); err != nil {
		return nil, err
	}
	q, err := tensor.Slice[int8](s.head, int(panels))
	if err != nil {
		return nil, err
	}
	sc, err := tensor.Slice[float32](s.head, int(scales/4))
	if err != nil {
		return nil, err
	}
	return kernels.QuantiseHead(found, q, sc), nil
}

func (s *Stage) newCache(size CacheSize) error {
	m := s.config.Model
	s.cache = kernels.Cache{KVHeads: m.NumKVHeads, KeySize: m.KeySize, Blocks: size.Blocks, Half: size.Half,
		Layers: make([]kernels.CacheLayer, m.NumLayers)}
	layers := s.Span.Hi - s.Span.Lo
	n := size.Blocks * s.cache.BlockSize()
	var err error
	if s.arena, err = tensor.NewArena("kv", int(CacheBytes(s.config, layers, size))+128*layers); err != nil {
		return err
	}
	cut := func(l *kernels.CacheLayer) error {
		var err error
		for _, half := range []*[]uint16{&l.K16, &l.V16} {
			if size.Half && err == nil {
				*half, err = tensor.Slice[uint16](s.arena, n)
			}
		}
		for _, full := range []*[]float32{&l.K32, &l.V32} {
			if !size.Half && err == nil {
				*full, err = tensor.Slice[float32](s.arena, n)
			}
		}
		return err
	}
	for l := s.Span.Lo; l < s.Span.Hi; l++ {
		if err := cut(&s.cache.Layers[l]); err != nil {
			return err
		}
	}
	return nil
}

// touch notes the blocks that rows will be written to.
func (s *Stage) touch(rows *kernels.Rows) {
	for r := range rows.N {
		s.used = max(s.used, int(rows.Tables[rows.Seq[r]][rows.Pos[r]/kernels.BlockTokens])+1)
	}
}

// Lose forgets all keys and values, as if the stage had been opened anew. They are zero afterwards: where a row
// may not see a key, its value is read all the same, times nothing, and must be a number.
func (s *Stage) Lose() {
	n := s.used * s.cache.BlockSize()
	for l := s.Span.Lo; l < s.Span.Hi; l++ {
		c := &s.cache.Layers[l]
		if s.cache.Half {
			clear(c.K16[:n])
			clear(c.V16[:n])
		} else {
			clear(c.K32[:n])
			clear(c.V32[:n])
		}
	}
	s.used = 0
}

// Close gives the cache's memory back.
func (s *Stage) Close() error {
	var errs []error
	for _, a := range []*tensor.Arena{s.head, s.arena} {
		if a != nil {
			errs = append(errs, a.Close())
		}
	}
	return errors.Join(errs...)
}

// Empty gives the cache back of a stage that runs no more, while its libraries still have its kernels. Close may follow.
func (s *Stage) Empty() error {
	if s.arena == nil {
		return nil
	}
	a := s.arena
	s.arena, s.cache = nil, kernels.Cache{}
	return a.Close()
}

// Advance runs a batch to the next router, or out of the span. It returns the layer whose experts are
// wanted; done tells that the batch has passed the stage (and, on the last one, that it is drawn).
func (s *Stage) Advance(b *Batch) (layer int, done bool, err error) {
	b.Frame.Cache = &s.cache
	i := b.step
	if i == 0 {
		s.touch(&b.Frame.Rows)
	}
	if err := s.lane.run(s.sites[i], b, &b.Frame, b.Frame.Rows.N, nil); err != nil {
		return 0, false, fmt.Errorf("stage of layers %d to %d: segment %d: batch %d: %w", s.Span.Lo, s.Span.Hi-1, i, b.ID, err)
	}
	if b.step++; b.step < len(s.sites) {
		return s.Span.Lo + i, false, nil
	}
	b.step = 0
	b.Frame.Cache = nil
	if s.last() {
		s.draw(b)
	}
	return 0, true, nil
}
