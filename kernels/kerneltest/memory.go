package kerneltest

import (
	"bytes"
	"fmt"
	"unsafe"

	"troupe/tensor"
)

// side says where an operand lies in its memory.
type side int

const (
	flushEnd   side = iota // its last byte before the guard page
	flushStart             // its first byte behind one; weights one byte further, at an odd address
	numSides
)

// mark fills the memory around operands.
const mark = 0xa5

// memory is where the operands of one case lie.
type memory struct {
	side    side
	regions []region
	err     error // the first failure to get memory
}

type region struct {
	name     string
	body     []byte
	lo, hi   int    // the operand within body
	writable bool   // an output, or the cache
	before   []byte // body as it was when remember was called
	free     func()
}

// bytes returns room for an operand; skew is its distance from the start with flushStart.
func (m *memory) bytes(name string, n, skew int, writable bool) []byte {
	body, free, err := mapBody(n + skew)
	if err != nil {
		if m.err == nil {
			m.err = fmt.Errorf("kerneltest: %s: %d bytes: %w", name, n, err)
		}
		return make([]byte, n)
	}
	for i := range body {
		body[i] = mark
	}
	lo := skew
	if m.side == flushEnd {
		lo = len(body) - n
	}
	m.regions = append(m.regions, region{name: name, body: body, lo: lo, hi: lo + n, writable: writable, free: free})
	return body[lo : lo+n : lo+n]
}

// remember keeps a copy of everything, for check.
func (m *memory) remember() {
	for i := range m.regions {
		m.regions[i].before = bytes.Clone(m.regions[i].body)
	}
}

// check reports the first byte that was written and should not have been.
func (m *memory) check() error {
	for _, r := range m.regions {
		lo, hi := r.lo, r.hi
		if !r.writable {
			hi = lo
		}
		if bytes.Equal(r.body[:lo], r.before[:lo]) && bytes.Equal(r.body[hi:], r.before[hi:]) {
			continue
		}
		for i, b := range r.body {
			if (i < lo || i >= hi) && b != r.before[i] {
				return fmt.Errorf("byte %d of %s was written, which has %d bytes", i-r.lo, r.name, r.hi-r.lo)
			}
		}
	}
	return nil
}

func (m *memory) close() {
	for _, r := range m.regions {
		r.free()
	}
	m.regions = nil
}

// numbers returns room for n aligned numbers (int8: as panels are, by whole lines).
func numbers[T float32 | uint16 | int8](m *memory, name string, n int, writable bool) []T {
	if n == 0 {
		return nil
	}
	var t T
	b := m.bytes(name, n*int(unsafe.Sizeof(t)), 0, writable)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// weightFloats returns room for n numbers of a weight, at an odd address where that is allowed.
func weightFloats(m *memory, name string, n int) []float32 {
	f, _ := tensor.Float32s(m.bytes(name, 4*n, 1, false))
	return f
}

func weightInt8s(m *memory, name string, n int) []int8 {
	return tensor.Int8s(m.bytes(name, n, 1, false))
}
