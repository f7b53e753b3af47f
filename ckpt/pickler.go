package ckpt

import (
	"encoding/binary"
	"math"
)

const (
	frameTarget = 64 << 10 // bytes after which CPython's pickler closes a frame; longer byte strings stand outside
	frameMin    = 4        // bytes below which it writes no frame header
)

// pickler writes objects with the opcodes, memo and frames of CPython's C pickler, protocol 4. The bytes
// of arrays are left out: they are pieces of their own.
type pickler struct {
	done  []piece         // closed frames and what stands outside of frames
	frame []piece         // the open frame
	memo  map[string]byte // index of each object that is written once and referred to later
	count byte            // entries of the memo, those without a name included
}

// object writes one Python object.
type object func(p *pickler)

// save writes an object. Where one begins the pickler looks whether the open frame is full.
func (p *pickler) save(o object) {
	if sumBytes(p.frame) >= frameTarget {
		p.endFrame()
	}
	o(p)
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

// The constants, and the byte string b'b': the type code of the empty array that _reconstruct makes.
var (
	none object = func(p *pickler) { p.op(opNone) }
	yes  object = func(p *pickler) { p.op(opNewTrue) }
	no   object = func(p *pickler) { p.op(opNewFalse) }

	letterB object = func(p *pickler) {
		if !p.again("b'b'") {
			p.op(opShortBinBytes, 1, 'b')
			p.memoize("b'b'")
		}
	}
)

// text is a string of less than 256 bytes.
func text(s string) object {
	return func(p *pickler) {
		if !p.again(s) {
			p.op(opShortBinString, byte(len(s)))
			p.op([]byte(s)...)
			p.memoize(s)
		}
	}
}

// global is a class or function.
func global(module, name string) object {
	return func(p *pickler) {
		if key := module + " " + name; !p.again(key) {
			p.save(text(module))
			p.save(text(name))
			p.op(opStackGlobal)
			p.memoize(key)
		}
	}
}

// number is an int of 32 bits.
func number(n int) object {
	return func(p *pickler) {
		switch {
		case n >= 0 && n <= math.MaxUint8:
			p.op(opBinInt1, byte(n))
		case n >= 0 && n <= math.MaxUint16:
			p.op(binary.LittleEndian.AppendUint16([]byte{opBinInt2}, uint16(n))...)
		default:
			p.op(binary.LittleEndian.AppendUint32([]byte{opBinInt}, uint32(int32(n)))...)
		}
	}
}

// tuple is a tuple of one or more objects.
func tuple(items ...object) object {
	return func(p *pickler) {
		end := byte(opTuple1 + len(items) - 1)
		if len(items) > 3 {
			p.op(opMark)
			end = opTuple
		}
		for _, o := range items {
			p.save(o)
		}
		p.op(end)
		p.memoize("")
	}
}

// call is what a function returns, its state set afterwards.
func call(function, args, state object) object {
	return func(p *pickler) {
		p.save(function)
		p.save(args)
		p.op(opReduce)
		p.memoize("")
		p.save(state)
		p.op(opBuild)
	}
}

// instance is an object of a class, its fields set by name: name, value, name, value, …
func instance(class object, fields ...object) object {
	return func(p *pickler) {
		p.save(class)
		p.op(opEmptyTuple, opNewObj)
		p.memoize("")
		p.save(func(p *pickler) {
			p.op(opEmptyDict)
			p.memoize("")
			p.op(opMark)
			for _, o := range fields {
				p.save(o)
			}
			p.op(opSetItems)
		})
		p.op(opBuild)
	}
}

// payloadObject is the place of an array's bytes: inside the frame, or from 64 KiB on between two.
func payloadObject(which part, size int64) object {
	return func(p *pickler) {
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
}
