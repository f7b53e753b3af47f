package cpu

import (
	"unsafe"

	"troupe/kernels"
)

// storeJob writes rows' keys and values to the cache. An item is a row.
type storeJob struct{ *attend }

func (j *storeJob) do(worker, lo, hi int) {
	rows, c := &j.frame.Rows, j.call
	width := c.KVHeads * c.KeySize
	for r := lo; r < hi; r++ {
		k, v := j.frame.Bufs[c.In[1]][r*width:][:width], j.frame.Bufs[c.In[2]][r*width:][:width]
		store := view{j.lib.loops, j.frame.Cache, &j.frame.Cache.Layers[c.Layer], rows.Tables[rows.Seq[r]], 0}
		for h := range c.KVHeads {
			store.head = h
			store.put(j.lib.scratch[worker].half, int(rows.Pos[r]), k[h*c.KeySize:][:c.KeySize], v[h*c.KeySize:][:c.KeySize])
		}
	}
}

// view is the cache of one layer as one sequence and one key head see it (kernels.Cache has the layout).
type view struct {
	loops *loops
	cache *kernels.Cache
	layer *kernels.CacheLayer
	table []int32
	head  int
}

// part is where the head's part of the block with position pos begins, in keys and in values.
func (v *view) part(pos int) int {
	block := int(v.table[pos/kernels.BlockTokens])
	return block*v.cache.BlockSize() + v.head*v.cache.KeySize*kernels.BlockTokens
}

// put stores the key and value of one position; half is scratch memory.
func (v *view) put(half []uint16, pos int, key, value []float32) {
	const n = kernels.BlockTokens
	keyAt := v.part(pos) + pos%n
	valueAt := v.part(pos) + pos%n*len(value)
	if v.cache.Half {
		v.loops.toBF16(half[:len(key)], key)
		for d, x := range half[:len(key)] {
			v.layer.K16[keyAt+d*n] = x
		}
		v.loops.toBF16(v.layer.V16[valueAt:][:len(value)], value)
		return
	}
	for d, x := range key {
		v.layer.K32[keyAt+d*n] = x
	}
	copy(v.layer.V32[valueAt:], value)
}

// keys is the block of keys [KeySize BlockTokens] from position pos on: in place, or widened in dst. few
// tells that bfloat16 may stay where it is if the loops take it.
func (v *view) keys(dst []float32, pos int, few bool) cacheBlock {
	return v.block(dst, v.layer.K32, v.layer.K16, pos, few)
}

// values is the block of values [BlockTokens KeySize] from position pos on, as keys.
func (v *view) values(dst []float32, pos int, few bool) cacheBlock {
	return v.block(dst, v.layer.V32, v.layer.V16, pos, few)
}

func (v *view) block(dst, full []float32, half []uint16, pos int, few bool) cacheBlock {
	at, n := v.part(pos), v.cache.KeySize*kernels.BlockTokens
	switch {
	case !v.cache.Half:
		return cacheBlock{full: full[at:][:n]}
	case few && v.loops.panels != nil:
		return cacheBlock{half: half[at:][:n]}
	}
	dst = dst[:n]
	v.loops.widenBF16(dst, half[at:][:n])
	return cacheBlock{full: dst}
}

// cacheBlock is keys or values of one head in one block of the cache; one of the slices is set.
type cacheBlock struct {
	full []float32
	half []uint16
}

// rows sets the weights of f to a block with so many columns, and returns the loops that take it.
func (b cacheBlock) rows(l *panelLoops, f *floatArgs, cols int) []rowsLoop {
	if b.half != nil {
		f.w, f.wStep = (*float32)(unsafe.Pointer(&b.half[0])), 2*cols
		return l.halfRows
	}
	f.w, f.wStep = &b.full[0], 4*cols
	return l.floatRows
}
