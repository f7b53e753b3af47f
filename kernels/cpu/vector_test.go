package cpu

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// vectorTables are the tables beside the portable one that this machine can run.
var vectorTables = map[string]*vectorLoops{}

var floatStride = flag.Uint64("float-stride", 4099, "TestManyFloats takes each float32 so many bit patterns after the one before; 1 takes all")

// operands are what a vector loop works on.
type operands struct {
	f    [6][]float32
	q    []int8
	h    []uint16
	x    [4]float32
	a, b float32
}

// vectorCases call every loop of a table once.
var vectorCases = []struct {
	name string
	call func(l *vectorLoops, o *operands) float32
}{
	{"quantise", func(l *vectorLoops, o *operands) float32 { return l.quantise(o.q, o.f[0]) }},
	{"widenBF16", func(l *vectorLoops, o *operands) float32 { l.widenBF16(o.f[0], o.h); return 0 }},
	{"toBF16", func(l *vectorLoops, o *operands) float32 { l.toBF16(o.h, o.f[0]); return 0 }},
	{"roundBF16", func(l *vectorLoops, o *operands) float32 { l.roundBF16(o.f[0]); return 0 }},
	{"sumSquares", func(l *vectorLoops, o *operands) float32 { return l.sumSquares(o.f[0]) }},
	{"sumLanes", func(l *vectorLoops, o *operands) float32 { return l.sumLanes(o.f[0]) }},
	{"norm", func(l *vectorLoops, o *operands) float32 { l.norm(o.f[0], o.f[1], o.f[2], o.a); return 0 }},
	{"rotate", func(l *vectorLoops, o *operands) float32 {
		l.rotate(o.f[0], o.f[1], o.f[2], o.f[3], o.f[4], o.f[5])
		return 0
	}},
	{"weigh", func(l *vectorLoops, o *operands) float32 { l.weigh(o.f[0], o.a, o.b); return 0 }},
	{"geluUp", func(l *vectorLoops, o *operands) float32 { l.geluUp(o.f[0], o.f[1]); return 0 }},
	{"expMinus", func(l *vectorLoops, o *operands) float32 { l.expMinus(o.f[0], o.a); return 0 }},
	{"mul", func(l *vectorLoops, o *operands) float32 { l.mul(o.f[0], o.a); return 0 }},
	{"div", func(l *vectorLoops, o *operands) float32 { l.div(o.f[0], o.a); return 0 }},
	{"add", func(l *vectorLoops, o *operands) float32 { l.add(o.f[0], o.f[1], o.f[2]); return 0 }},
	{"addTo", func(l *vectorLoops, o *operands) float32 { l.addTo(o.f[0], o.f[1]); return 0 }},
	{"mulAdd", func(l *vectorLoops, o *operands) float32 { l.mulAdd(o.f[0], o.f[1], o.f[2]); return 0 }},
	{"axpy1", func(l *vectorLoops, o *operands) float32 { l.axpy1(o.f[0], o.f[1], o.a); return 0 }},
	{"axpy4", func(l *vectorLoops, o *operands) float32 {
		l.axpy4(o.f[0], o.f[1], o.f[2], o.f[3], o.f[4], &o.x)
		return 0
	}},
}

// vectorMemory is guarded memory for operands of up to longest elements.
type vectorMemory struct {
	f    [6][]byte
	q, h []byte
}

const longest = 1000

func newVectorMemory(t testing.TB) *vectorMemory {
	m := &vectorMemory{q: guarded(t, longest), h: guarded(t, 2*longest)}
	for i := range m.f {
		m.f[i] = guarded(t, 4*longest)
	}
	return m
}

// place copies operands into the memory, against its end or, with some elements before, its start. clean
// reports whether nothing was written beside them.
func (m *vectorMemory) place(o *operands, atEnd bool, before int) (placed *operands, clean func() bool) {
	placed = &operands{x: o.x, a: o.a, b: o.b}
	var marks []func() bool
	for i, f := range o.f {
		placed.f[i] = placeIn(m.f[i], f, atEnd, before, &marks)
	}
	placed.q = placeIn(m.q, o.q, atEnd, before, &marks)
	placed.h = placeIn(m.h, o.h, atEnd, before, &marks)
	return placed, func() bool { return !slices.ContainsFunc(marks, func(mark func() bool) bool { return !mark() }) }
}

func placeIn[T any](mem []byte, from []T, atEnd bool, before int, marks *[]func() bool) []T {
	const mark = 0xa5
	oneMark := []byte{mark}
	size := int(unsafe.Sizeof(*new(T)))
	for i := range mem {
		mem[i] = mark
	}
	at := before * size
	if atEnd {
		at = len(mem) - len(from)*size
	}
	left, right := mem[:at], mem[at+len(from)*size:]
	*marks = append(*marks, func() bool {
		return bytes.Count(left, oneMark) == len(left) && bytes.Count(right, oneMark) == len(right)
	})
	if len(from) == 0 {
		return nil
	}
	s := unsafe.Slice((*T)(unsafe.Pointer(&mem[at])), len(from))
	copy(s, from)
	return s
}

// Values at which something changes: the bounds of the functions, of formats and of rounding.
var edges = func() (all []float32) {
	inf := float32(math.Inf(1))
	for _, v := range []float32{0, 0x1p-149, 0x1p-126, 0x1p-100, 0.625, 0.8, 1, 5, 10, 12, 87.33, 88.37, 88.72, 126.5, 127, 128, 1 << 22, 3 << 22, 1e30, 0x1p127, math.MaxFloat32, inf} {
		for _, w := range []float32{math.Nextafter32(v, -inf), v, math.Nextafter32(v, inf)} {
			all = append(all, w, -w)
		}
	}
	for _, bits := range []uint32{0x7fc00000, 0xffc00000, 0x7f800001, 0x7fffffff, 0xff80ffff, 0x3f808000, 0x3f818000, 0x3f807fff, 0x7f7f8000, 0x00008000, 0x80018000} {
		all = append(all, math.Float32frombits(bits))
	}
	return all
}()

// randomOperands are n elements each: numbers of one size, of all sizes, or edges among them.
func randomOperands(rng *rand.Rand, n, kind int) *operands {
	value := func() float32 {
		switch {
		case kind == 2 && rng.IntN(4) == 0:
			return edges[rng.IntN(len(edges))]
		case kind == 1:
			return float32(rng.NormFloat64() * math.Exp2(rng.Float64()*40-20))
		}
		return float32(rng.NormFloat64())
	}
	o := &operands{q: make([]int8, n), h: make([]uint16, n), a: value(), b: value()}
	for i := range o.x {
		o.x[i] = value()
	}
	for i := range o.f {
		o.f[i] = make([]float32, n)
		for j := range o.f[i] {
			o.f[i][j] = value()
		}
	}
	for i := range n {
		o.q[i], o.h[i] = int8(rng.Uint32()), uint16(rng.Uint32())
	}
	return o
}

// same compares bits; any NaN equals any NaN.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func firstDifference(got, want *operands) string {
	for i := range want.f {
		for j, w := range want.f[i] {
			if g := got.f[i][j]; !same(g, w) {
				return fmt.Sprintf("slice %d, element %d is %x, want %x", i, j, g, w)
			}
		}
	}
	for i := range want.q {
		if got.q[i] != want.q[i] || got.h[i] != want.h[i] {
			return fmt.Sprintf("element %d is %d and %#04x, want %d and %#04x", i, got.q[i], got.h[i], want.q[i], want.h[i])
		}
	}
	return ""
}

func needTables(t testing.TB) {
	if len(vectorTables) == 0 {
		t.Skip("this machine runs the portable vector loops only")
	}
}

// Every table gives the bits of the portable one, for any length and place, and touches nothing beside its operands.
func TestVectors(t *testing.T) {
	needTables(t)
	for _, name := range slices.Sorted(maps.Keys(vectorTables)) {
		t.Run(name, func(t *testing.T) {
			memory, rng := newVectorMemory(t), rand.New(rand.NewPCG(1, 2))
			for _, c := range vectorCases {
				for n := range 74 {
					if n > 70 {
						n = []int{128, 999, longest - 8}[n-71]
					}
					for kind := range 3 {
						want := randomOperands(rng, n, kind)
						got, clean := memory.place(want, kind == 1 || n%2 == 0, n%5)
						given := *want
						sum, wantSum := c.call(vectorTables[name], got), c.call(&genericVectors, want)
						if d := firstDifference(got, want); d != "" || !same(sum, wantSum) || !clean() {
							t.Fatalf("%s, %d elements, numbers %v and %v: %s; result %x, want %x; nothing written beside: %v", c.name, n, given.a, given.b, d, sum, wantSum, clean())
						}
					}
				}
			}
		})
	}
}

// The loops with elementary functions and conversions agree on values from the whole range of float32.
func TestManyFloats(t *testing.T) {
	needTables(t)
	const n = 4096
	ones := slices.Repeat([]float32{1}, n)
	for what, call := range map[string]func(l *vectorLoops, p []float32, h []uint16){
		"exp":        func(l *vectorLoops, p []float32, _ []uint16) { l.expMinus(p, 0) },
		"tanh, exp":  func(l *vectorLoops, p []float32, _ []uint16) { l.weigh(p, 1, 1) },
		"attention":  func(l *vectorLoops, p []float32, _ []uint16) { l.weigh(p, 0.08838834764, 30) },
		"gelu":       func(l *vectorLoops, p []float32, _ []uint16) { l.geluUp(p, ones) },
		"bfloat16":   func(l *vectorLoops, p []float32, h []uint16) { l.toBF16(h, p) },
		"and back":   func(l *vectorLoops, p []float32, _ []uint16) { l.roundBF16(p) },
		"quantise 1": func(l *vectorLoops, p []float32, h []uint16) { quantiseEach(l, p, h) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			x, want, got := make([]float32, n), make([]float32, n), make([]float32, n)
			wantHalf, gotHalf := make([]uint16, n), make([]uint16, n)
			for at := uint64(0); at < 1<<32; {
				for i := range x {
					x[i] = math.Float32frombits(uint32(at))
					at += *floatStride
				}
				copy(want, x)
				call(&genericVectors, want, wantHalf)
				for name, l := range vectorTables {
					copy(got, x)
					call(l, got, gotHalf)
					for i, v := range x {
						if !same(got[i], want[i]) || gotHalf[i] != wantHalf[i] {
							t.Fatalf("%s of %x (bits %#08x): %x and %#04x, want %x and %#04x", name, v, math.Float32bits(v), got[i], gotHalf[i], want[i], wantHalf[i])
						}
					}
				}
			}
		})
	}
}

// quantiseEach quantises blocks of 16 with one common top; their bytes go to h, their scales to p.
func quantiseEach(l *vectorLoops, p []float32, h []uint16) {
	var q [16]int8
	for ; len(p) >= len(q); p, h = p[len(q):], h[len(q):] {
		scale := l.quantise(q[:], p[:len(q)])
		for i, v := range q {
			h[i], p[i] = uint16(v), scale
		}
	}
}

// The lengths that a layer of Grok-1 has: a row, an expert's row, a head's keys, a block.
func BenchmarkVectorLoops(b *testing.B) {
	tables := maps.Clone(vectorTables)
	tables["generic"] = &genericVectors
	for _, c := range vectorCases {
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			for _, n := range []int{128, 6144} {
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, name, n), func(b *testing.B) {
					o := randomOperands(rand.New(rand.NewPCG(1, 2)), n, 0)
					o.a, o.b, o.x = 1, 30, [4]float32{1, .5, .25, -1}
					for i, v := range o.f[1] {
						o.f[1][i] = v / 100 // sums do not grow out of range
					}
					given := slices.Clone(o.f[0])
					for b.Loop() {
						if slices.Contains([]string{"weigh", "geluUp", "expMinus"}, c.name) {
							copy(o.f[0], given) // what they return is another kind of number
						}
						c.call(tables[name], o)
					}
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
				})
			}
		}
	}
}
