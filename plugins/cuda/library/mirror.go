//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// mirror holds the KV cache of each layer on the GPU, block for block as on the host, whose copy is the truth: keys
// and values of a batch's rows are stored in both.
//
// What is valid in the mirror is known by (layer, block) as a set of positions. A position becomes valid when its block
// is uploaded, or a row stores it; a row that stores a position makes later ones of its block invalid, as they are left
// from a sequence that had the block before. Positions that a batch reads and that are not valid have their block
// uploaded.
//
// Others can write to the host's cache without the mirror's knowledge: another library has computed some batches,
// or what was computed here was only compared. Therefore a block is trusted only if a sample of the host's copy, the
// first dimensions of the first head's keys at all valid positions, has the bits that the mirror was given.
//
// After a failed run all is invalid.
type mirror struct {
	dev    *device.Device
	layers map[int]*layerMirror
	wants  []run // blocks to upload, of the call at hand
}

// layerMirror is one layer's.
type layerMirror struct {
	host         unsafe.Pointer // identity of the host's cache
	shape        cacheShape
	keys, values device.Ptr
	valid        []uint16 // by block: a bit for each position
	writes       []uint16 // by block: positions that the batch at hand stores
	reads        []uint16 // by block: positions that it looks at
	touched      []int32  // blocks of which there are writes or reads
	sample       []byte   // by block
}

type cacheShape struct {
	heads, size, blocks int
	half                bool
}

func (s cacheShape) element() int {
	if s.half {
		return 2
	}
	return 4
}

// blockBytes is the size of a block's keys, or values.
func (s cacheShape) blockBytes() int { return s.heads * s.size * kernels.BlockTokens * s.element() }

// sampled dimensions: with 8, even one valid position of bfloat16 keys is told from another by 128 bits.
const sampled = 8

// sampleBytes is how many bytes from a block's start make its sample: [dimension][position].
func (s cacheShape) sampleBytes() int {
	return min(sampled, s.size) * kernels.BlockTokens * s.element()
}

// run is blocks lo to hi-1.
type run struct{ lo, hi int }

// hostCache is a layer of the frame's cache as bytes.
func hostCache(c *kernels.Cache, layer int) (keys, values []byte) {
	l := &c.Layers[layer]
	if c.Half {
		return bytesOf(l.K16), bytesOf(l.V16)
	}
	return bytesOf(l.K32), bytesOf(l.V32)
}

// prepare checks a call's cache and tables, and uploads what the mirror lacks of what the batch's rows look at.
func (m *mirror) prepare(s *device.Stream, c *kernels.Call, f *kernels.Frame) (*layerMirror, error) {
	l, err := m.layer(c, f.Cache)
	if err != nil {
		return nil, err
	}
	if err := l.look(&f.Rows); err != nil {
		return nil, err
	}
	keys, values := hostCache(f.Cache, c.Layer)
	m.wants = m.wants[:0]
	for _, b := range l.touched {
		if need := l.reads[b] &^ l.writes[b]; need&^l.valid[b] != 0 || need != 0 && !l.trusted(int(b), keys) {
			l.valid[b] = 0xffff
			l.remember(int(b), keys)
			if n := len(m.wants); n > 0 && m.wants[n-1].hi == int(b) {
				m.wants[n-1].hi++
			} else {
				m.wants = append(m.wants, run{int(b), int(b) + 1})
			}
		}
	}
	size := l.shape.blockBytes()
	for _, w := range m.wants {
		if err := errors.Join(s.Upload(l.keys+device.Ptr(w.lo*size), keys[w.lo*size:w.hi*size]),
			s.Upload(l.values+device.Ptr(w.lo*size), values[w.lo*size:w.hi*size])); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// layer is the mirror of a call's layer, made anew when the host's cache is another one.
func (m *mirror) layer(c *kernels.Call, cache *kernels.Cache) (*layerMirror, error) {
	if cache == nil || c.Layer < 0 || c.Layer >= len(cache.Layers) {
		return nil, fmt.Errorf("cuda: attend of layer %d: the frame has no cache for it", c.Layer)
	}
	if cache.KVHeads != c.KVHeads || cache.KeySize != c.KeySize {
		return nil, fmt.Errorf("cuda: attend of layer %d: the cache has %d heads of %d, want %d of %d", c.Layer, cache.KVHeads, cache.KeySize, c.KVHeads, c.KeySize)
	}
	keys, values := hostCache(cache, c.Layer)
	shape := cacheShape{heads: c.KVHeads, size: c.KeySize, half: cache.Half}
	shape.blocks = min(len(keys), len(values)) / shape.blockBytes() // a plugin's cache has blocks behind those of the engine
	host := unsafe.Pointer(unsafe.SliceData(keys))
	l := m.layers[c.Layer]
	if l != nil && l.host == host && l.shape == shape {
		return l, nil
	}
	if l != nil {
		delete(m.layers, c.Layer)
		if err := errors.Join(m.dev.Free(l.keys), m.dev.Free(l.values)); err != nil {
			return nil, err
		}
	}
	l = &layerMirror{host: host, shape: shape}
	what, n := fmt.Sprintf("the KV cache of layer %d", c.Layer), int64(shape.blocks*shape.blockBytes())
	var err error
	if l.keys, err = m.dev.Alloc(what, n); err != nil {
		return nil, err
	}
	if l.values, err = m.dev.Alloc(what, n); err != nil {
		return nil, errors.Join(err, m.dev.Free(l.keys))
	}
	l.valid, l.writes, l.reads = make([]uint16, shape.blocks), make([]uint16, shape.blocks), make([]uint16, shape.blocks)
	l.sample = make([]byte, shape.blocks*shape.sampleBytes())
	if m.layers == nil {
		m.layers = map[int]*layerMirror{}
	}
	m.layers[c.Layer] = l
	return l, nil
}

// look collects which positions of which blocks the batch's rows store and look at.
func (l *layerMirror) look(r *kernels.Rows) error {
	for _, b := range l.touched {
		l.writes[b], l.reads[b] = 0, 0
	}
	l.touched = l.touched[:0]
	touch := func(b int32, writes, reads uint16) {
		if l.writes[b]|l.reads[b] == 0 {
			l.touched = append(l.touched, b)
		}
		l.writes[b] |= writes
		l.reads[b] |= reads
	}
	for i := range r.N {
		table, keys := r.Tables[r.Seq[i]], keysOf(r, i)
		// Rows of one sequence follow each other; the last of them looks furthest, unless rows have no keys.
		if last := i+1 == r.N || r.Seq[i+1] != r.Seq[i] || keysOf(r, i+1) < keys; !last {
			keys = 0
		}
		for j := 0; j < keys; j += kernels.BlockTokens {
			b := table[j/kernels.BlockTokens]
			if b < 0 || int(b) >= l.shape.blocks {
				return fmt.Errorf("cuda: row %d: block %d of the KV cache, which has %d", i, b, l.shape.blocks)
			}
			touch(b, 0, uint16(1<<min(keys-j, kernels.BlockTokens)-1))
		}
		b := table[r.Pos[i]/kernels.BlockTokens]
		if b < 0 || int(b) >= l.shape.blocks {
			return fmt.Errorf("cuda: row %d: block %d of the KV cache, which has %d", i, b, l.shape.blocks)
		}
		touch(b, 1<<(r.Pos[i]%kernels.BlockTokens), 0)
	}
	return nil
}

// trusted compares the host's copy of a block with what the mirror was given.
func (l *layerMirror) trusted(b int, keys []byte) bool {
	host, have := l.samples(b, keys)
	if l.valid[b] == 0xffff {
		return bytes.Equal(host, have)
	}
	e := l.shape.element()
	for at := 0; at < len(host); at += e {
		if l.valid[b]>>(at/e%kernels.BlockTokens)&1 != 0 && !bytes.Equal(host[at:at+e], have[at:at+e]) {
			return false
		}
	}
	return true
}

func (l *layerMirror) remember(b int, keys []byte) {
	host, have := l.samples(b, keys)
	copy(have, host)
}

func (l *layerMirror) samples(b int, keys []byte) (host, have []byte) {
	n := l.shape.sampleBytes()
	return keys[b*l.shape.blockBytes():][:n], l.sample[b*n:][:n]
}

// commit stores the rows' keys and values in the host's cache, after all calls have succeeded, and counts them as
// valid in the mirror.
func (m *mirror) commit(c *kernels.Call, f *kernels.Frame) {
	l := m.layers[c.Layer]
	for r := range f.Rows.N {
		store(f.Cache, c, &f.Rows, r, f.Bufs[c.In[1]], f.Bufs[c.In[2]])
	}
	keys, _ := hostCache(f.Cache, c.Layer)
	for _, b := range l.touched {
		if w := l.writes[b]; w != 0 {
			first := w & -w
			l.valid[b] = l.valid[b]&(first-1) | w
			l.remember(int(b), keys)
		}
	}
}

// forget makes everything invalid.
func (m *mirror) forget() {
	for _, l := range m.layers {
		clear(l.valid)
	}
}

// drop gives the mirror's memory back.
func (m *mirror) drop() error {
	var errs []error
	for _, l := range m.layers {
		errs = append(errs, m.dev.Free(l.keys), m.dev.Free(l.values))
	}
	m.layers = nil
	return errors.Join(errs...)
}
