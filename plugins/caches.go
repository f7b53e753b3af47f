package plugins

import (
	"context"
	"fmt"
	"os"
	"slices"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/shm"
)

// caches lets kernels write keys and values without writing to the engine's cache. The plugin sees each layer's
// keys (and values) as one run of memory: the pages of the cache, read-only, and behind them writable pages of
// scratch. Before a call the blocks that its rows will write are copied to scratch, and the tables of blocks name
// the copies; after it the rows' keys and values, and nothing else, are copied back.
//
// Layers of one call must not share scratch. As a rule a call has one, so that all layers share one place.
type caches struct {
	lib     *Library
	scratch *shm.Memory
	region  uint64 // of scratch
	area    int    // bytes for the keys, or values, of one place
	places  int    // layer l has place l mod places
	views   map[viewKey]*view
	staged  map[int]*staged // by layer: caches that lie in no region, copied for each call
	lastID  uint64

	translate []int32 // by block: where the tables of this call's frame have it
	written   []int32 // blocks that this call writes, by block of scratch
}

// viewKey is a layer's arrays and where its scratch is.
type viewKey struct {
	keys, values uint64 // regions
	keyAt, valAt int
	length       int // bytes of an array
	block        int // bytes
	place        int
	half         bool
}

// view is a layer as the plugin sees it.
type view struct {
	id             uint64
	keyAt, valueAt int // bytes into scratch, of its first block
}

// cacheUse is a layer of the call at hand.
type cacheUse struct {
	layer        int
	view         *view
	keys, values []byte // of the engine
}

// staged is a copy of a layer of a cache that lies in no region.
type staged struct {
	memory *shm.Memory
	region uint64
}

const (
	firstCopy = 16   // blocks of scratch, at first
	maxViews  = 4096 // then all are made anew
)

func newCaches(l *Library) *caches {
	return &caches{lib: l, places: 1, views: map[viewKey]*view{}, staged: map[int]*staged{}}
}

// geometry is how blocks lie in a view.
type geometry struct {
	block int // bytes
	first int // number of the first block of scratch
	lead  int // bytes of scratch before it, at most
}

// geometryOf: an array begins somewhere on a page, and scratch on the first page behind its end, so that up to a
// page's worth of blocks' numbers is left out.
func geometryOf(c *kernels.Cache) geometry {
	elem := 4
	if c.Half {
		elem = 2
	}
	page := os.Getpagesize()
	g := geometry{block: c.BlockSize() * elem}
	skip := (page + g.block - 1) / g.block
	g.first, g.lead = c.Blocks+skip, skip*g.block+page
	return g
}

// prepare readies the cache for a call of a kernel and fills k.views; blocks is how many the plugin sees.
func (s *caches) prepare(k *Kernel, f *kernels.Frame) (blocks int, err error) {
	c := f.Cache
	if c.BlockSize() <= 0 || c.Blocks <= 0 {
		return 0, fmt.Errorf("plugins: a cache of %d blocks of %d elements", c.Blocks, c.BlockSize())
	}
	g := geometryOf(c)
	s.spread(k.layers)
	if err := s.mark(c, &f.Rows, g); err != nil {
		return 0, err
	}
	if err := s.grow(g, len(s.written)); err != nil {
		return 0, err
	}
	for i, layer := range k.layers {
		u := &k.views[i]
		if *u, err = s.layer(c, layer, g); err != nil {
			return 0, err
		}
		for j, block := range s.written {
			to := j * g.block
			copy(s.scratch.Bytes[u.view.keyAt+to:][:g.block], u.keys[int(block)*g.block:])
			copy(s.scratch.Bytes[u.view.valueAt+to:][:g.block], u.values[int(block)*g.block:])
		}
	}
	return g.first + s.room(g), nil
}

// spread makes so many places that the layers of a call have different ones.
func (s *caches) spread(layers []int) {
	for i, a := range layers {
		for _, b := range layers[:i] {
			for a%s.places == b%s.places {
				s.places++
				s.forget()
			}
		}
	}
}

// room is how many blocks a place has.
func (s *caches) room(g geometry) int { return (s.area - g.lead) / g.block }

// mark notes the blocks that rows write and what the tables are to have in their place.
func (s *caches) mark(c *kernels.Cache, rows *kernels.Rows, g geometry) error {
	s.unmark()
	for len(s.translate) < c.Blocks {
		s.translate = append(s.translate, int32(len(s.translate)))
	}
	if len(rows.Pos) < rows.N || len(rows.Seq) < rows.N {
		return fmt.Errorf("plugins: attend: %d rows with %d positions and %d sequences", rows.N, len(rows.Pos), len(rows.Seq))
	}
	for r := range rows.N {
		seq, at := int(rows.Seq[r]), int(rows.Pos[r])/kernels.BlockTokens
		if seq < 0 || seq >= len(rows.Tables) || at < 0 || at >= len(rows.Tables[seq]) {
			return fmt.Errorf("plugins: attend: row %d at position %d of sequence %d: no block for it", r, rows.Pos[r], seq)
		}
		block := rows.Tables[seq][at]
		if block < 0 || int(block) >= c.Blocks {
			return fmt.Errorf("plugins: attend: row %d: block %d, want 0 to %d", r, block, c.Blocks-1)
		}
		if s.translate[block] == block {
			s.translate[block] = int32(g.first + len(s.written))
			s.written = append(s.written, block)
		}
	}
	return nil
}

func (s *caches) unmark() {
	for _, block := range s.written {
		s.translate[block] = block
	}
	s.written = s.written[:0]
}

// grow makes room for so many blocks in each place.
func (s *caches) grow(g geometry, blocks int) error {
	need := g.lead + max(blocks, firstCopy)*g.block
	if s.scratch != nil && need <= s.area {
		return nil
	}
	s.area = shm.Pages(max(need, 2*s.area))
	s.forget()
	memory, region, err := s.lib.shared.lend(purpose{name: "scratch", writable: true, view: true}, 2*s.places*s.area)
	if err != nil {
		s.area = 0
		return err
	}
	s.scratch, s.region = memory, region
	return nil
}

// forget lets go of scratch and of what is made of it.
func (s *caches) forget() {
	var views []uint64
	for _, v := range s.views {
		views = append(views, v.id)
	}
	clear(s.views)
	if s.scratch != nil {
		s.lib.trash.forget(views, []uint64{s.region})
		_ = s.scratch.Close()
		s.scratch = nil
	} else {
		s.lib.trash.forget(views, nil)
	}
}

// layer finds a layer's view, or has the plugin make it.
func (s *caches) layer(c *kernels.Cache, layer int, g geometry) (cacheUse, error) {
	if layer < 0 || layer >= len(c.Layers) {
		return cacheUse{}, fmt.Errorf("plugins: attend: no cache for layer %d", layer)
	}
	l := &c.Layers[layer]
	u := cacheUse{layer: layer, keys: bytesOf(l.K32), values: bytesOf(l.V32)}
	if c.Half {
		u.keys, u.values = bytesOf(l.K16), bytesOf(l.V16)
	}
	n := c.Blocks * g.block
	if len(u.keys) < n || len(u.values) < n {
		return u, fmt.Errorf("plugins: attend: layer %d: a cache of %d and %d bytes, want %d", layer, len(u.keys), len(u.values), n)
	}
	key := viewKey{length: n, block: g.block, place: layer % s.places, half: c.Half}
	var ok, also bool
	var err error
	if key.keys, key.keyAt, ok, err = locate(s.lib.shared, u.keys[:n]); err != nil {
		return u, err
	}
	if key.values, key.valAt, also, err = locate(s.lib.shared, u.values[:n]); err != nil {
		return u, err
	}
	if !ok || !also {
		if err := s.stage(&key, layer, u.keys[:n], u.values[:n]); err != nil {
			return u, err
		}
	}
	if u.view = s.views[key]; u.view == nil {
		u.view, err = s.make(key, g)
	}
	return u, err
}

// stage copies a layer that lies in no region to memory that the plugin can map. That is slow; caches of engines
// lie in regions.
func (s *caches) stage(key *viewKey, layer int, keys, values []byte) error {
	half := shm.Pages(len(keys))
	st := s.staged[layer]
	if st == nil || len(st.memory.Bytes) < 2*half {
		if st != nil {
			s.lib.trash.forget(nil, []uint64{st.region})
			_ = st.memory.Close()
			delete(s.staged, layer)
		}
		memory, region, err := s.lib.shared.lend(purpose{name: "staged", view: true}, 2*half)
		if err != nil {
			return err
		}
		st = &staged{memory, region}
		s.staged[layer] = st
	}
	copy(st.memory.Bytes, keys)
	copy(st.memory.Bytes[half:], values)
	key.keys, key.keyAt, key.values, key.valAt = st.region, 0, st.region, half
	return nil
}

// make has the plugin join a layer's arrays and their scratch.
func (s *caches) make(key viewKey, g geometry) (*view, error) {
	if len(s.views) >= maxViews {
		var views []uint64
		for _, v := range s.views {
			views = append(views, v.id)
		}
		clear(s.views)
		s.lib.trash.forget(views, nil)
	}
	s.lastID++
	keyArea, valueArea := 2*key.place*s.area, (2*key.place+1)*s.area
	// Where the first block of scratch begins: addresses go on from the array's beginning, on a page or not.
	page := os.Getpagesize()
	lead := func(at int) int {
		start := at % page
		return start + g.first*g.block - shm.Pages(start+key.length)
	}
	v := &view{id: s.lastID, keyAt: keyArea + lead(key.keyAt), valueAt: valueArea + lead(key.valAt)}
	memory := func(region uint64, offset, length int) *pb.Memory {
		return &pb.Memory{Region: region, Offset: uint64(offset), Length: uint64(length)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.lib.process.config.Start)
	defer cancel()
	_, err := s.lib.process.control.View(ctx, &pb.ViewRequest{
		View: v.id, Half: key.half, Keys: memory(key.keys, key.keyAt, key.length), Values: memory(key.values, key.valAt, key.length),
		KeyScratch: memory(s.region, keyArea, s.area), ValueScratch: memory(s.region, valueArea, s.area),
		Length: uint64((g.first + s.room(g)) * g.block),
	})
	if err != nil {
		return nil, s.lib.controlFault(ctx, "cache", err)
	}
	s.views[key] = v
	return v, nil
}

// without takes views of regions off the list.
func (s *caches) without(regions []uint64) (views []uint64) {
	for key, v := range s.views {
		if slices.Contains(regions, key.keys) || slices.Contains(regions, key.values) {
			views = append(views, v.id)
			delete(s.views, key)
		}
	}
	return views
}

func (s *caches) close() {
	_ = s.scratch.Close()
	s.scratch = nil
	for _, st := range s.staged {
		_ = st.memory.Close()
	}
	clear(s.staged)
	clear(s.views)
}
