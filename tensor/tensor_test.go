package tensor

import (
	"errors"
	"math"
	"testing"
	"unsafe"
)

// Every bfloat16 survives; every float32 goes to one of its two neighbours, the nearer, ties to even.
func TestBF16(t *testing.T) {
	for b := range 1 << 16 {
		f := FromBF16(uint16(b))
		if got := ToBF16(f); got != uint16(b) && f == f {
			t.Fatalf("%#04x comes back as %#04x", b, got)
		}
		if f != f && RoundBF16(f) == RoundBF16(f) {
			t.Fatalf("%#04x: a NaN became a number", b)
		}
	}
	for f, want := range map[float32]uint16{
		1 + 0x1p-8: 0x3f80, 1 + 0x3p-8: 0x3f82, // ties, to even
		1 + 0x1.1p-8: 0x3f81, math.MaxFloat32: 0x7f80, -1 - 0x3p-8: 0xbf82,
	} {
		if got := ToBF16(f); got != want {
			t.Errorf("%v: %#04x, want %#04x", f, got, want)
		}
	}
	if nan := math.Float32frombits(0x7f800001); ToBF16(nan)&0x7f == 0 {
		t.Error("a NaN with low bits alone became infinity")
	}
}

func TestSpecBytes(t *testing.T) {
	if n, err := (Spec{I8, Shape{8, 6144, 32768}}).Bytes(); err != nil || n != 1610612736 {
		t.Errorf("%d, %v", n, err)
	}
	for _, s := range []Shape{{-1}, {math.MaxInt, 3}, {1 << 31, 1 << 31, 1 << 31}} {
		if n, err := (Spec{F32, s}).Bytes(); err == nil {
			t.Errorf("%v: %d bytes, want an error", s, n)
		}
	}
	if _, err := (Spec{F32, Shape{math.MaxInt64 / 2}}).Bytes(); err == nil {
		t.Error("2^63 elements of 4 bytes: want an error")
	}
}

func TestViews(t *testing.T) {
	raw := []byte{9, 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc1, 7}
	f, _ := Float32s(raw[1:]) // an odd address, and a byte too many
	if len(f) != 2 || f[0] != 1 || f[1] != -10 {
		t.Errorf("%v, want [1 -10]", f)
	}
	if q := Int8s([]byte{0x80, 0xff, 3}); q[0] != -128 || q[1] != -1 || q[2] != 3 {
		t.Errorf("%v", q)
	}
	if w := WidenBF16([]byte{0x80, 0x3f, 0x20, 0xc1}); w[0] != 1 || w[1] != -10 {
		t.Errorf("%v", w)
	}
}

func TestArena(t *testing.T) {
	a, err := NewArena("test", 1000)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Slice[float32](a, 3)
	if err != nil || len(x) != 3 || x[0] != 0 {
		t.Fatal(x, err)
	}
	y, err := Slice[int8](a, 900)
	if err != nil {
		t.Fatal(err)
	}
	x[0], y[0] = 5, 7
	if x[0] != 5 || uintptr(unsafe.Pointer(&y[0]))%64 != 0 {
		t.Error("buffers overlap, or do not begin on a cache line")
	}
	if _, err := Slice[float32](a, 100); err == nil {
		t.Error("more than is left: want an error")
	}
	if _, err := Slice[float32](a, -1); err == nil {
		t.Error("a negative count: want an error")
	}
	if err := a.Close(); err != nil || a.Close() != nil {
		t.Error(err)
	}
	if _, err := a.Bytes(1); err == nil {
		t.Error("after Close: want an error")
	}
	if _, err := NewArena("none", 0); err == nil {
		t.Error("size 0: want an error")
	}
}

// A huge arena is an arena: zeroed, aligned, refused past its end, closed twice.
func TestHugeArena(t *testing.T) {
	const size = 5<<20 + 192
	a, err := NewHugeArena("test", size)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Slice[int8](a, 5<<20)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := a.Bytes(192)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(q); i += 511 {
		if q[i] != 0 {
			t.Fatalf("byte %d is %d", i, q[i])
		}
		q[i] = 1
	}
	for i := range rest {
		rest[i]++
	}
	if p := uintptr(unsafe.Pointer(&rest[0])); p%arenaAlign != 0 || rest[0] != 1 || rest[191] != 1 {
		t.Errorf("the rest is at %#x: %v", p, rest)
	}
	if _, err := a.Bytes(1); err == nil {
		t.Error("more than there is was given")
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error("closed twice:", err)
	}
	for _, size := range []int{0, -1} {
		if _, err := NewHugeArena("none", size); err == nil {
			t.Errorf("%d bytes were given", size)
		}
	}
}
