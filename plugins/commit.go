package plugins

import (
	"unsafe"

	"troupe/kernels"
)

// commit copies the rows' keys and values from scratch to the cache; bytes is how many.
func (s *caches) commit(uses []cacheUse, c *kernels.Cache, rows *kernels.Rows) (bytes int) {
	g := geometryOf(c)
	for i := range uses {
		u := &uses[i]
		for r := range rows.N {
			keys, values, pos := s.stored(u, g, rows, r)
			block := int(rows.Tables[rows.Seq[r]][int(rows.Pos[r])/kernels.BlockTokens]) * g.block
			if c.Half {
				copyPosition[uint16](c, u.keys[block:][:g.block], u.values[block:][:g.block], keys, values, pos)
			} else {
				copyPosition[uint32](c, u.keys[block:][:g.block], u.values[block:][:g.block], keys, values, pos)
			}
			bytes += 2 * g.block / kernels.BlockTokens
		}
	}
	s.unmark()
	return bytes
}

// stored is the block of scratch that holds row r's keys and values, and the position in it.
func (s *caches) stored(u *cacheUse, g geometry, rows *kernels.Rows, r int) (keys, values []byte, pos int) {
	at := int(rows.Pos[r])
	block := rows.Tables[rows.Seq[r]][at/kernels.BlockTokens]
	from := (int(s.translate[block]) - g.first) * g.block
	return s.scratch.Bytes[u.view.keyAt+from:][:g.block], s.scratch.Bytes[u.view.valueAt+from:][:g.block], at % kernels.BlockTokens
}

// copyPosition copies one position of a block: keys [KVHeads KeySize BlockTokens], values [KVHeads BlockTokens KeySize].
func copyPosition[T uint16 | uint32](c *kernels.Cache, toKeys, toValues, fromKeys, fromValues []byte, pos int) {
	const n = kernels.BlockTokens
	tk, tv, fk, fv := numbers[T](toKeys), numbers[T](toValues), numbers[T](fromKeys), numbers[T](fromValues)
	for h := range c.KVHeads {
		at := h * c.KeySize * n
		copy(tv[at+pos*c.KeySize:][:c.KeySize], fv[at+pos*c.KeySize:])
		for d := range c.KeySize {
			tk[at+d*n+pos] = fk[at+d*n+pos]
		}
	}
}

// numbers looks at bytes as numbers.
func numbers[T uint16 | uint32 | float32](b []byte) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}
