package wire

import (
	"math"
	"unsafe"

	"troupe/kernels"
)

// A frame's table is 64-bit words of this machine:
//
//	magic, words of the table, rows, then for each array its place: offset and elements
//	sequences, and the place of each table of blocks; sequences, and the place of each list of skipped positions
//	buffers, and for each its region, offset and elements
//	whether there is a cache; KVHeads, KeySize, Blocks, half; layers, and for each its number and its view
//
// Offsets are bytes from the beginning of the frame's region, for buffers of theirs. An array of no elements has
// the offset 0.
const (
	frameMagic = 0x656d61726670 // "pframe"
	wordBytes  = 8
	numArrays  = 11
	align      = 64 // arrays begin on cache lines
)

// Encoder writes frames into a region. It allocates nothing once its slices have grown.
type Encoder struct {
	mem   []byte // the region
	begin int    // of the table
	used  int
	head  []uint64
	at    int
}

// Encoded is where a frame lies.
type Encoded struct{ Offset, Length int }

// Buffer is where a slot of the frame lies; without elements the slot is left out.
type Buffer struct {
	Region           uint64
	Offset, Elements int // bytes, float32
}

// Begin starts a frame with a table for so many sequences, buffers and layers at an offset of the region: 0, or Used of
// the frame before it.
func (e *Encoder) Begin(mem []byte, offset, sequences, skips, buffers, layers int) {
	words := tableWords(sequences, skips, buffers, layers)
	e.mem, e.begin, e.used, e.at = mem, offset, offset+roundUp(words*wordBytes), 0
	e.head = unsafe.Slice((*uint64)(unsafe.Pointer(&mem[offset])), words)
	e.word(frameMagic)
	e.word(words)
}

func tableWords(sequences, skips, buffers, layers int) int {
	return 3 + 2*numArrays + 1 + 2*sequences + 1 + 2*skips + 1 + 3*buffers + 6 + 2*layers
}

// Need is at least what a frame takes of a region, besides buffers.
func Need(f *kernels.Frame, buffers, layers int) int {
	r := &f.Rows
	n := roundUp(wordBytes * tableWords(len(r.Tables), len(r.Skip), buffers, layers))
	for _, elements := range []int{
		len(r.Token), len(r.Pos), len(r.Seq), len(r.First), len(r.Keyless), len(r.Prompt), len(r.Draw),
		len(f.Pairs.Start), len(f.Pairs.Gate), len(f.Work.Row), len(f.Work.Dst),
	} {
		n += roundUp(4 * elements)
	}
	for _, t := range r.Tables {
		n += roundUp(4 * len(t))
	}
	for _, t := range r.Skip {
		n += roundUp(4 * len(t))
	}
	return n
}

// BufferNeed is what a buffer of so many elements takes of a region.
func BufferNeed(elements int) int { return roundUp(4 * elements) }

func roundUp(n int) int { return (n + align - 1) / align * align }

func (e *Encoder) word(v int) {
	e.head[e.at] = uint64(v)
	e.at++
}

// room takes bytes of the region.
func (e *Encoder) room(n int) (offset int, b []byte) {
	offset = e.used
	b = e.mem[offset : offset+n : offset+n]
	e.used = roundUp(offset + n)
	return offset, b
}

// Floats takes room for a buffer.
func (e *Encoder) Floats(n int) (offset int, f []float32) {
	offset, b := e.room(4 * n)
	return offset, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

func put[T int32 | float32 | bool](e *Encoder, s []T) []T {
	if len(s) == 0 {
		e.word(0)
		e.word(0)
		return nil
	}
	var t T
	offset, b := e.room(len(s) * int(unsafe.Sizeof(t)))
	c := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(s))
	copy(c, s)
	e.word(offset)
	e.word(len(s))
	return c
}

// Rows writes the frame's rows, pairs and work. Entries of the tables of blocks go through translate, by block,
// where that is not nil; ok is false when one has no place in it. dst stands for the work's, if it is not nil.
func (e *Encoder) Rows(f *kernels.Frame, translate, dst []int32) (ok bool) {
	r := &f.Rows
	e.word(r.N)
	put(e, r.Token)
	put(e, r.Pos)
	put(e, r.Seq)
	put(e, r.First)
	put(e, r.Keyless)
	put(e, r.Prompt)
	put(e, r.Draw)
	put(e, f.Pairs.Start)
	put(e, f.Pairs.Gate)
	put(e, f.Work.Row)
	if dst == nil {
		dst = f.Work.Dst
	}
	put(e, dst)
	e.word(len(r.Tables))
	ok = true
	for _, t := range r.Tables {
		table := put(e, t)
		if translate == nil {
			continue
		}
		for i, block := range table {
			if uint(block) >= uint(len(translate)) {
				ok = false
				continue
			}
			table[i] = translate[block]
		}
	}
	e.word(len(r.Skip))
	for _, s := range r.Skip {
		put(e, s)
	}
	return ok
}

// Buffers begins the list of that many buffers; each is then written by Buffer.
func (e *Encoder) Buffers(n int) { e.word(n) }

// Buffer writes the place of the next buffer.
func (e *Encoder) Buffer(b Buffer) {
	e.word(int(b.Region))
	e.word(b.Offset)
	e.word(b.Elements)
}

// Cache writes the shape of the cache and how many layers are in use, each then written by Layer; a nil cache is
// none. blocks is what there are for the plugin.
func (e *Encoder) Cache(c *kernels.Cache, blocks, layers int) {
	if c == nil {
		for range 6 {
			e.word(0)
		}
		return
	}
	half := 0
	if c.Half {
		half = 1
	}
	for _, v := range [...]int{1, c.KVHeads, c.KeySize, blocks, half, layers} {
		e.word(v)
	}
}

// Layer writes a layer's number and view.
func (e *Encoder) Layer(layer int, view uint64) {
	e.word(layer)
	e.word(int(view))
}

// End is where the frame lies.
func (e *Encoder) End() Encoded { return Encoded{e.begin, e.at * wordBytes} }

// Used is where the region is free behind the frame and its buffers.
func (e *Encoder) Used() int { return e.used }

// Poison fills a buffer with NaN, so that what a kernel leaves out shows.
func Poison(f []float32) {
	nan := math.Float32frombits(0x7fc0dead)
	first := f[:min(len(f), 256)]
	for i := range first {
		first[i] = nan
	}
	for n := len(first); n < len(f); n *= 2 { // copying is several times as fast
		copy(f[n:], f[:n])
	}
}
