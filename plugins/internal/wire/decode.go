package wire

import (
	"fmt"
	"unsafe"

	"troupe/kernels"
)

// Memory finds what a frame speaks of.
type Memory interface {
	// Region is the memory of a region.
	Region(id uint64) ([]byte, error)
	// View is a layer's keys and values.
	View(id uint64) (kernels.CacheLayer, error)
}

// Limits of a frame: more than an engine asks for, little enough to be walked through.
const (
	maxSequences = 1 << 20
	maxBuffers   = 256 // kernels.Slot is 8 bits
	maxLayers    = 1 << 12
	maxElements  = 1 << 40
	maxHeads     = 1 << 20
)

// Frame is a frame as a plugin's kernels see it. Its slices are used again by the next Decode.
type Frame struct {
	kernels.Frame
	cache kernels.Cache
	last  []int // layers that the last frame had
}

// decoder reads words of a frame; the first error stays.
type decoder struct {
	mem  []byte // the frame's region
	head []uint64
	at   int
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("plugins: frame: "+format, args...)
	}
}

// word reads the next number, from 0 to limit.
func (d *decoder) word(what string, limit int) int {
	if d.err != nil {
		return 0
	}
	if d.at >= len(d.head) {
		d.fail("the table ends before %s", what)
		return 0
	}
	v := d.head[d.at]
	d.at++
	if v > uint64(limit) {
		d.fail("%s is %d, want at most %d", what, v, limit)
		return 0
	}
	return int(v)
}

func array[T int32 | float32 | bool](d *decoder, what string) []T {
	offset, n := d.word(what, len(d.mem)), d.word(what, len(d.mem))
	return place[T](d, what, d.mem, offset, n)
}

// place is n elements at an offset of a region.
func place[T int32 | float32 | bool](d *decoder, what string, mem []byte, offset, n int) []T {
	var t T
	size := int(unsafe.Sizeof(t))
	if d.err != nil || n == 0 {
		return nil
	}
	if offset%size != 0 || n > maxElements || offset > len(mem) || n*size > len(mem)-offset {
		d.fail("%s: %d elements at %d, within a region of %d bytes", what, n, offset, len(mem))
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[offset])), n)
}

// Decode reads the frame at a place of a region. What it gives is valid until the engine has the answer.
func (f *Frame) Decode(m Memory, region uint64, offset, length uint64) error {
	mem, err := m.Region(region)
	if err != nil {
		return err
	}
	if offset%wordBytes != 0 || length%wordBytes != 0 || length < wordBytes*2 || offset > uint64(len(mem)) || length > uint64(len(mem))-offset {
		return fmt.Errorf("plugins: frame: %d bytes at %d, within a region of %d bytes", length, offset, len(mem))
	}
	d := &decoder{mem: mem, head: unsafe.Slice((*uint64)(unsafe.Pointer(&mem[offset])), length/wordBytes)}
	if magic := d.word("magic", maxElements<<8); magic != frameMagic {
		d.fail("begins with %#x, want %#x", magic, frameMagic)
	}
	if words := d.word("size", len(d.head)); words != len(d.head) {
		d.fail("a table of %d words, want %d", words, len(d.head))
	}
	r := &f.Rows
	r.N = d.word("rows", len(mem))
	r.Token, r.Pos, r.Seq = array[int32](d, "tokens"), array[int32](d, "positions"), array[int32](d, "sequences")
	r.First, r.Keyless, r.Prompt = array[int32](d, "first keys"), array[int32](d, "keyless rows"), array[bool](d, "prompt rows")
	r.Draw = array[int32](d, "draws")
	f.Pairs.Start, f.Pairs.Gate = array[int32](d, "pairs"), array[float32](d, "gates")
	f.Work.Row, f.Work.Dst = array[int32](d, "work rows"), array[int32](d, "destinations")
	r.Tables = lists(d, r.Tables, "block tables")
	r.Skip = lists(d, r.Skip, "skipped positions")
	f.buffers(d, m)
	f.layers(d, m)
	if d.err == nil && d.at != len(d.head) {
		d.fail("%d words too many", len(d.head)-d.at)
	}
	return d.err
}

// lists reads a list of arrays into old, if it is long enough.
func lists(d *decoder, old [][]int32, what string) [][]int32 {
	n := d.word(what, min(maxSequences, len(d.head)))
	for len(old) < n {
		old = append(old, nil)
	}
	old = old[:n]
	for i := range old {
		old[i] = array[int32](d, what)
	}
	return old
}

func (f *Frame) buffers(d *decoder, m Memory) {
	n := d.word("buffers", maxBuffers)
	for len(f.Bufs) < n {
		f.Bufs = append(f.Bufs, nil)
	}
	f.Bufs = f.Bufs[:n]
	for i := range f.Bufs {
		region, offset, elements := d.word("a buffer's region", 1<<63-1), d.word("a buffer's offset", maxElements), d.word("a buffer's size", maxElements)
		f.Bufs[i] = nil
		if d.err != nil || elements == 0 {
			continue
		}
		mem, err := m.Region(uint64(region))
		if err != nil {
			d.err = err
			return
		}
		f.Bufs[i] = place[float32](d, "a buffer", mem, offset, elements)
	}
}

func (f *Frame) layers(d *decoder, m Memory) {
	for _, l := range f.last {
		f.cache.Layers[l] = kernels.CacheLayer{}
	}
	f.last, f.Cache = f.last[:0], nil
	has := d.word("the cache", 1)
	c := &f.cache
	c.KVHeads, c.KeySize, c.Blocks = d.word("key heads", maxHeads), d.word("the key size", maxHeads), d.word("blocks", maxElements)
	c.Half = d.word("half", 1) == 1
	n := d.word("layers", maxLayers)
	if has == 1 {
		f.Cache = c
	}
	for range n {
		layer, id := d.word("a layer", maxLayers), d.word("a view", 1<<63-1)
		if d.err != nil {
			return
		}
		for len(c.Layers) <= layer {
			c.Layers = append(c.Layers, kernels.CacheLayer{})
		}
		view, err := m.View(uint64(id))
		if err != nil {
			d.err = err
			return
		}
		if got := max(len(view.K16), len(view.K32)); c.Half != (view.K16 != nil) || c.BlockSize() <= 0 || c.Blocks > got/c.BlockSize() {
			d.fail("layer %d: %d blocks of %d, want no more than %d elements", layer, c.Blocks, c.BlockSize(), got)
			return
		}
		c.Layers[layer] = view
		f.last = append(f.last, layer)
	}
}
