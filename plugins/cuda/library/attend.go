//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
	"troupe/tensor"
)

// attend stores keys and values in the mirror and weighs the values there.
type attend struct{ base }

func newAttend(k *kernel, c *kernels.Call, _ kernels.Arith) step { return &attend{base{k.lib, c}} }

// partBytes bounds the scratch memory of an attention: larger batches go in runs of rows.
const partBytes = 256 << 20

func (a *attend) scratch(f *frame) (int, error) {
	c, n := a.call, f.in.Rows.N
	err := errors.Join(length(f, c, c.In[0], n*c.Heads*c.KeySize), length(f, c, c.Out[0], n*c.Heads*c.KeySize),
		length(f, c, c.In[1], n*c.KVHeads*c.KeySize), length(f, c, c.In[2], n*c.KVHeads*c.KeySize))
	return a.rows(f) * a.part(f.meta.keys), err
}

// part is the scratch memory of a row with so many keys.
func (a *attend) part(keys int) int {
	return 4 * a.call.Heads * ceilDiv(keys, kernels.BlockKeys) * (a.call.KeySize + 1)
}

// rows is how many go together.
func (a *attend) rows(f *frame) int {
	return max(1, min(f.in.Rows.N, partBytes/max(1, a.part(f.meta.keys))))
}

func (a *attend) run(f *frame) error {
	c, s, m, n := a.call, a.lib.stream, &f.meta, f.in.Rows.N
	if n == 0 {
		return nil
	}
	l, err := a.lib.mirror.prepare(s, c, f.in)
	if err != nil {
		return err
	}
	half := 0
	if f.in.Cache.Half {
		half = 1
	}
	s.Ptr(f.slots[c.In[1]]).Ptr(f.slots[c.In[2]]).Ptr(m.seq.data).Ptr(m.pos.data).Ptr(m.tables.data).Ptr(l.keys).Ptr(l.values)
	s.Int(n).Int(c.KVHeads).Int(c.KeySize).Int(m.stride)
	if err := s.Launch(a.lib.kernels.store[half], strided(n*c.KVHeads*c.KeySize)); err != nil {
		return err
	}
	step := a.rows(f)
	for lo := 0; lo < n; lo += step {
		if err := a.some(f, l, half, lo, min(lo+step, n)); err != nil {
			return err
		}
	}
	return nil
}

// some computes rows lo to hi-1.
func (a *attend) some(f *frame, l *layerMirror, half, lo, hi int) error {
	c, s, m, n := a.call, a.lib.stream, &f.meta, hi-lo
	keys := 0
	for r := lo; r < hi; r++ {
		keys = max(keys, keysOf(&f.in.Rows, r))
	}
	blocks := ceilDiv(keys, kernels.BlockKeys)
	part, row, out := a.lib.scratch.data, device.Ptr(4*lo), device.Ptr(4*lo*c.Heads*c.KeySize)
	s.Ptr(f.slots[c.In[0]] + out).Ptr(l.keys).Ptr(l.values).Ptr(m.seq.data + row).Ptr(m.pos.data + row).Ptr(m.first.data + row)
	s.Ptr(m.keyless.data + row).Ptr(m.prompt.data + row).Ptr(m.tables.data).Ptr(m.skip.data).Ptr(m.skipStart.data).Ptr(part)
	s.Int(n).Int(c.Heads).Int(c.KVHeads).Int(c.KeySize).Int(m.stride).Int(blocks).Float(c.Multiplier).Float(c.Cap)
	if err := s.Launch(a.lib.kernels.attend[half], device.Grid{X: blocks, Y: c.KVHeads, Z: n, Block: attendWide}); err != nil {
		return err
	}
	s.Ptr(part).Ptr(m.pos.data + row).Ptr(m.keyless.data + row).Ptr(f.slots[c.Out[0]] + out)
	s.Int(n).Int(c.Heads).Int(c.KeySize).Int(blocks)
	return s.Launch(a.lib.kernels.attendSum, device.Grid{X: c.Heads, Y: n, Z: 1, Block: attendWide})
}

// store writes row r's keys and values, [rows KVHeads KeySize], to their place in the host's cache.
func store(cache *kernels.Cache, c *kernels.Call, rows *kernels.Rows, r int, k, v []float32) {
	l, size, pos := &cache.Layers[c.Layer], cache.KeySize, int(rows.Pos[r])
	lane := pos % kernels.BlockTokens
	block := int(rows.Tables[rows.Seq[r]][pos/kernels.BlockTokens]) * cache.BlockSize()
	for h := range cache.KVHeads {
		from := (r*cache.KVHeads + h) * size
		keys := block + h*size*kernels.BlockTokens + lane
		values := block + (h*kernels.BlockTokens+lane)*size
		for d := range size {
			if cache.Half {
				l.K16[keys+d*kernels.BlockTokens], l.V16[values+d] = tensor.ToBF16(k[from+d]), tensor.ToBF16(v[from+d])
			} else {
				l.K32[keys+d*kernels.BlockTokens], l.V32[values+d] = k[from+d], v[from+d]
			}
		}
	}
}
