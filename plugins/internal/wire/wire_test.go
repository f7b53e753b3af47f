package wire

import (
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"troupe/kernels"
)

// fake is memory for frames.
type fake map[uint64][]byte

func (m fake) Region(id uint64) ([]byte, error) {
	if m[id] == nil {
		return nil, errors.New("no region")
	}
	return m[id], nil
}

func (m fake) View(id uint64) (kernels.CacheLayer, error) {
	if id != 7 {
		return kernels.CacheLayer{}, errors.New("no view")
	}
	return kernels.CacheLayer{K16: make([]uint16, 640), V16: make([]uint16, 640)}, nil
}

func aligned(n int) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}

func example() *kernels.Frame {
	return &kernels.Frame{
		Rows: kernels.Rows{
			N: 2, Token: []int32{5, 6}, Pos: []int32{17, 2}, Seq: []int32{0, 1}, First: []int32{0, 1}, Keyless: []int32{0, 0},
			Prompt: []bool{true, false}, Draw: []int32{1}, Tables: [][]int32{{1, 0}, {2}}, Skip: [][]int32{nil, {4}},
		},
		Bufs:  [][]float32{{1, 2, 3}, nil, {4}},
		Pairs: kernels.Pairs{Start: []int32{0, 1, 2}, Gate: []float32{0.5, 0.25}},
		Work:  kernels.Work{Row: []int32{1}, Dst: []int32{9}},
		Cache: &kernels.Cache{KVHeads: 2, KeySize: 4, Blocks: 3, Half: true},
	}
}

// encode writes a frame with its buffers beside it.
func encode(f *kernels.Frame, mem []byte, at int) (Encoded, int) {
	e := &Encoder{}
	e.Begin(mem, at, len(f.Rows.Tables), len(f.Rows.Skip), len(f.Bufs), 1)
	e.Rows(f, []int32{0, 4, 2}, nil)
	e.Buffers(len(f.Bufs))
	for _, b := range f.Bufs {
		if b == nil {
			e.Buffer(Buffer{})
			continue
		}
		offset, to := e.Floats(len(b))
		copy(to, b)
		e.Buffer(Buffer{Region: 3, Offset: offset, Elements: len(b)})
	}
	e.Cache(f.Cache, 5, 1)
	e.Layer(1, 7)
	return e.End(), e.Used()
}

// A frame comes out as it went in, with the blocks translated; also behind another one, and again, in the same memory.
func TestFrame(t *testing.T) {
	f := example()
	mem := aligned(2 * (Need(f, len(f.Bufs), 1) + 3*BufferNeed(3)))
	var got Frame
	_, behind := encode(f, mem, 0)
	for _, begin := range []int{0, behind, 0} {
		at, _ := encode(f, mem, begin)
		if err := got.Decode(fake{3: mem}, 3, uint64(at.Offset), uint64(at.Length)); err != nil {
			t.Fatal(err)
		}
		want := example()
		want.Rows.Tables[0][0] = 4
		if !reflect.DeepEqual(got.Rows, want.Rows) || !reflect.DeepEqual(got.Bufs, want.Bufs) || !reflect.DeepEqual(got.Pairs, want.Pairs) || !reflect.DeepEqual(got.Work, want.Work) {
			t.Errorf("%+v, want %+v", got.Frame, want)
		}
		if c := got.Cache; c.Blocks != 5 || !c.Half || c.KVHeads != 2 || len(c.Layers) != 2 || len(c.Layers[1].K16) != 640 || c.Layers[0].K16 != nil {
			t.Errorf("%+v", c)
		}
	}
}

// A block that has no place is said; so is a control page of another version.
func TestBadInput(t *testing.T) {
	f := example()
	f.Rows.Tables[1][0] = 3
	e := &Encoder{}
	e.Begin(aligned(1<<12), 0, 2, 2, 3, 1)
	if e.Rows(f, []int32{0, 1, 2}, nil) {
		t.Error("block 3 of 3 was taken")
	}
	page := aligned(ControlBytes)
	if _, err := OpenControl(page); err == nil {
		t.Error("a page of zeros was taken")
	}
	c := NewControl(page)
	if _, err := OpenControl(page); err != nil {
		t.Error(err)
	}
	if _, err := OpenControl(page[:100]); err == nil {
		t.Error("a short page was taken")
	}
	c.Say(strings.Repeat("x", 1<<20))
	if c.Answer.Text.Store(1 << 31); len(c.Said()) != maxText {
		t.Errorf("%d bytes of text, want %d", len(c.Said()), maxText)
	}
}

// Whatever a frame holds, decoding it is an error or gives slices within its memory, which can be read.
func FuzzDecode(f *testing.F) {
	good := aligned(Need(example(), 3, 1) + 3*BufferNeed(3))
	at, _ := encode(example(), good, 0)
	f.Add(good, uint64(at.Offset), uint64(at.Length), uint16(0), uint64(0))
	for i := range at.Length / 8 {
		f.Add(good, uint64(at.Offset), uint64(at.Length), uint16(i), uint64(1)<<63+uint64(i))
	}
	f.Add(good, uint64(8), ^uint64(0)-7, uint16(1), ^uint64(0))
	var frame Frame // used again, as a plugin does
	f.Fuzz(func(t *testing.T, b []byte, offset, length uint64, word uint16, value uint64) {
		mem := aligned(len(b) + 8)[:len(b)]
		copy(mem, b)
		if at := 8 * int(word); at+8 <= len(mem) {
			binary.NativeEndian.PutUint64(mem[at:], value)
		}
		if err := frame.Decode(fake{3: mem}, 3, offset, length); err != nil {
			return
		}
		sum := 0
		r := &frame.Rows
		lists := [][]int32{r.Token, r.Pos, r.Seq, r.First, r.Keyless, r.Draw, frame.Pairs.Start, frame.Work.Row, frame.Work.Dst}
		for _, list := range append(append(lists, r.Tables...), r.Skip...) {
			for _, v := range list {
				sum += int(v)
			}
		}
		for _, list := range append(frame.Bufs, frame.Pairs.Gate) {
			for _, v := range list {
				sum += int(v)
			}
		}
		_ = sum
		if frame.Cache != nil && frame.Cache.BlockSize() < 0 {
			t.Error("a negative block")
		}
	})
}
