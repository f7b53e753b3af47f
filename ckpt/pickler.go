package ckpt

import (
	"encoding/binary"
	"math"
)

const (
	frameTarget = 64 << 10 // bytes after which CPython's pickler closes a frame; longer byte strings stand outside
	frameMin    = 4        // bytes below which it writes no frame header
)

// pickler writes opcodes in the order and framing of CPython's C pickler, protocol 4. The bytes of arrays
// are left out: they are pieces of their own.
type pickler struct {
	done  []piece         // closed frames and what stands outside of frames
	frame []piece         // the open frame
	memo  map[string]byte // index of each object that is written once and referred to later
	count byte            // entries of the memo, those without a name included
}

// op appends bytes to the open frame.
func (p *pickler) op(b ...byte) {
	if n := len(p.frame); n == 0 || p.frame[n-1].part != noPart {
		p.frame = append(p.frame, piece{})
	}
	last := &p.frame[len(p.frame)-1]
	last.text = append(last.text, b...)
}

// endFrame closes the open frame and puts its header before it.
func (p *pickler) endFrame() {
	if size := sumBytes(p.frame); size >= frameMin {
		header := binary.LittleEndian.AppendUint64([]byte{opFrame}, uint64(size))
		p.done = append(p.done, piece{text: header})
	}
	p.done = append(p.done, p.frame...)
	p.frame = nil
}

// memoize gives the object just written the next index; name is "" for one that is never referred to.
func (p *pickler) memoize(name string) {
	if name != "" {
		p.memo[name] = p.count
	}
	p.count++
	p.op(opMemoize)
}

// again writes a reference to an object that stands in the memo.
func (p *pickler) again(name string) bool {
	i, ok := p.memo[name]
	if ok {
		p.op(opBinGet, i)
	}
	return ok
}

// text writes a string of less than 256 bytes. An object may begin a new frame: that is where the pickler
// looks at the size of the open one. Only the object behind a weight can find it full.
func (p *pickler) text(s string) {
	if sumBytes(p.frame) >= frameTarget {
		p.endFrame()
	}
	if p.again(s) {
		return
	}
	p.op(opShortBinString, byte(len(s)))
	p.op([]byte(s)...)
	p.memoize(s)
}

// global writes a reference to a class or function.
func (p *pickler) global(module, name string) {
	key := module + " " + name
	if p.again(key) {
		return
	}
	p.text(module)
	p.text(name)
	p.op(opStackGlobal)
	p.memoize(key)
}

// letterB writes the byte string b'b', the type code of the empty array that _reconstruct makes.
func (p *pickler) letterB() {
	if p.again("b'b'") {
		return
	}
	p.op(opShortBinBytes, 1, 'b')
	p.memoize("b'b'")
}

// number writes an int of 32 bits.
func (p *pickler) number(n int) {
	switch {
	case n >= 0 && n <= math.MaxUint8:
		p.op(opBinInt1, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		p.op(binary.LittleEndian.AppendUint16([]byte{opBinInt2}, uint16(n))...)
	default:
		p.op(binary.LittleEndian.AppendUint32([]byte{opBinInt}, uint32(int32(n)))...)
	}
}

// tuple makes a tuple of the last n objects, n from 1 to 3.
func (p *pickler) tuple(n int) {
	p.op(opTuple1 + byte(n-1))
	p.memoize("")
}

// payload writes the place of an array's bytes: inside the frame, or from 64 KiB on outside, between two.
func (p *pickler) payload(which part, size int64) {
	outside := size >= frameTarget
	if outside {
		p.endFrame()
	}
	switch {
	case size <= math.MaxUint8:
		p.op(opShortBinBytes, byte(size))
	case size <= math.MaxUint32:
		p.op(binary.LittleEndian.AppendUint32([]byte{opBinBytes}, uint32(size))...)
	default:
		p.op(binary.LittleEndian.AppendUint64([]byte{opBinBytes8}, uint64(size))...)
	}
	p.frame = append(p.frame, piece{part: which, size: size})
	if outside {
		p.done = append(p.done, p.frame...)
		p.frame = nil
	}
	p.memoize("")
}
