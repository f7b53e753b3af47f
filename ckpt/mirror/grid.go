package mirror

import (
	"iter"
	"slices"
)

// numPieces is the number of pieces of a file.
func (f *File) numPieces() int { return int((f.Size + PieceBytes - 1) / PieceBytes) }

// piece is where a piece lies.
func (f *File) piece(i int) (offset int64, n int) {
	offset = int64(i) * PieceBytes
	return offset, int(min(PieceBytes, f.Size-offset))
}

// frame yields the runs [lo, hi) of a file that lie in no extent.
func (f *File) frame() iter.Seq2[int64, int64] {
	return func(yield func(lo, hi int64) bool) {
		at := int64(0)
		for _, x := range f.Extents {
			if x[2] > at && !yield(at, x[2]) {
				return
			}
			at = x[2] + x[3]
		}
		if f.Size > at {
			yield(at, f.Size)
		}
	}
}

// pieces is a set of pieces of one file.
type pieces []uint64

func newPieces(n int) pieces { return make(pieces, (n+63)/64) }

func (p pieces) has(i int) bool { return p[i/64]>>(i%64)&1 != 0 }

func (p pieces) set(i int, there bool) {
	if there {
		p[i/64] |= 1 << (i % 64)
	} else {
		p[i/64] &^= 1 << (i % 64)
	}
}

// cover adds the pieces with the bytes from lo up to hi.
func (p pieces) cover(lo, hi int64) {
	for i := lo / PieceBytes; i*PieceBytes < hi; i++ {
		p.set(int(i), true)
	}
}

// wanted is the set of pieces of each file with what want says; nil for a file of which nothing is wanted.
func (m *Manifest) wanted(want func(tensor string, layer, expert int) bool) []pieces {
	list := make([]pieces, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		if !m.wants(i, want) {
			continue
		}
		p := newPieces(f.numPieces())
		for _, x := range f.Extents {
			if x[0] < 0 {
				continue
			}
			if t := m.Tensors[x[0]]; want(t.Name, t.Layer, int(x[1])) {
				p.cover(x[2], x[2]+x[3])
			}
		}
		for lo, hi := range f.frame() {
			p.cover(lo, hi)
		}
		list[i] = p
	}
	return list
}

// wants tells whether anything of file i is wanted; what has no arrays is always.
func (m *Manifest) wants(i int, want func(tensor string, layer, expert int) bool) bool {
	f := &m.Files[i]
	return len(f.Extents) == 0 || slices.ContainsFunc(f.Extents, func(x Extent) bool {
		if x[0] < 0 {
			return false
		}
		t := m.Tensors[x[0]]
		return want(t.Name, t.Layer, int(x[1]))
	})
}

// PartBytes is what a part of the directory takes when it is fetched: whole pieces of its files.
func (m *Manifest) PartBytes(want func(tensor string, layer, expert int) bool) (sum int64) {
	for i, p := range m.wanted(want) {
		sum += m.Files[i].bytes(p)
	}
	return sum
}

// bytes is the size of pieces of a file.
func (f *File) bytes(p pieces) (sum int64) {
	if p == nil {
		return 0
	}
	for i := range f.numPieces() {
		if p.has(i) {
			_, n := f.piece(i)
			sum += int64(n)
		}
	}
	return sum
}
