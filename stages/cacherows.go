package stages

import (
	"math"

	"troupe/kernels"
)

// What is done with keys and values of a batch's rows in the cache.
type cacheUse uint8

const (
	load  cacheUse = iota // copy them out
	store                 // put them back
	blank                 // put NaN there
)

// cacheRows goes over what the Attend calls of a piece have stored for the rows of a batch. Beside the cache it
// reads or writes list, float32 whatever the cache holds: per call the keys [rows KVHeads KeySize], then the
// values. It returns list, with what was loaded.
func cacheRows(pc *piece, f *kernels.Frame, use cacheUse, list []float32) []float32 {
	at := 0
	for i := range pc.calls {
		if c := &pc.calls[i]; c.Op == kernels.Attend {
			size := 2 * f.Rows.N * f.Cache.KVHeads * f.Cache.KeySize
			if use == load {
				list = extend(list, at+size)
			}
			part := list[:0]
			if use != blank {
				part = list[at : at+size]
			}
			layerRows(f, c.Layer, use, part)
			at += size
		}
	}
	return list
}

func extend(v []float32, n int) []float32 {
	if n > cap(v) {
		v = append(v[:cap(v)], make([]float32, n-cap(v))...)
	}
	return v[:n]
}

func layerRows(f *kernels.Frame, layer int, use cacheUse, list []float32) {
	c, rows := f.Cache, &f.Rows
	l, width := &c.Layers[layer], c.KVHeads*c.KeySize
	for r := range rows.N {
		pos := int(rows.Pos[r])
		block := int(rows.Tables[rows.Seq[r]][pos/kernels.BlockTokens]) * c.BlockSize()
		lane := pos % kernels.BlockTokens
		for i := range width {
			key := block + i*kernels.BlockTokens + lane
			value := block + (i/c.KeySize*kernels.BlockTokens+lane)*c.KeySize + i%c.KeySize
			var k, v *float32
			if use != blank {
				k, v = &list[r*width+i], &list[(rows.N+r)*width+i]
			}
			if c.Half {
				cell16(&l.K16[key], use, k)
				cell16(&l.V16[value], use, v)
			} else {
				cell32(&l.K32[key], use, k)
				cell32(&l.V32[value], use, v)
			}
		}
	}
}

func cell32(cell *float32, use cacheUse, x *float32) {
	switch use {
	case load:
		*x = *cell
	case store:
		*cell = *x
	case blank:
		*cell = float32(math.NaN())
	}
}

// cell16 is exact both ways: what is stored has been loaded.
func cell16(cell *uint16, use cacheUse, x *float32) {
	switch use {
	case load:
		*x = math.Float32frombits(uint32(*cell) << 16)
	case store:
		*cell = uint16(math.Float32bits(*x) >> 16)
	case blank:
		*cell = 0x7fc0
	}
}
