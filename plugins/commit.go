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
			pos := int(rows.Pos[r])
			block := int(rows.Tables[rows.Seq[r]][pos/kernels.BlockTokens])
			from := (int(s.translate[block]) - g.first) * g.block
			keys, values := s.scratch.Bytes[u.view.keyAt+from:][:g.block], s.scratch.Bytes[u.view.valueAt+from:][:g.block]
			if c.Half {
				copyPosition[uint16](c, u.keys[block*g.block:][:g.block], u.values[block*g.block:][:g.block], keys, values, pos%kernels.BlockTokens)
			} else {
				copyPosition[float32](c, u.keys[block*g.block:][:g.block], u.values[block*g.block:][:g.block], keys, values, pos%kernels.BlockTokens)
			}
			bytes += 2 * g.block / kernels.BlockTokens
		}
	}
	s.unmark()
	return bytes
}

// copyPosition copies one position of a block: keys [KVHeads KeySize BlockTokens], values [KVHeads BlockTokens KeySize].
func copyPosition[T uint16 | float32](c *kernels.Cache, toKeys, toValues, fromKeys, fromValues []byte, pos int) {
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
func numbers[T uint16 | float32](b []byte) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}
