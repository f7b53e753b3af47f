//go:build unix

package shm

import (
	"errors"
	"io"
	"os"
	"testing"
)

// Memory goes over a socket and is the same on the other side; it can be written there only where that was meant.
func TestParcel(t *testing.T) {
	near, far, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	there, err := Conn(far)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	for _, writable := range []bool{true, false} {
		m, err := New("test", 5000, writable)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Bytes) != Pages(5000) {
			t.Errorf("%d bytes, want whole pages", len(m.Bytes))
		}
		f, err := m.File()
		if err != nil {
			t.Fatal(err)
		}
		if err := Send(near, Parcel{ID: 1 << 60, Size: len(m.Bytes), Writable: writable, Keep: true, File: f}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		p, err := Receive(there)
		if err != nil || p.ID != 1<<60 || p.Size != len(m.Bytes) || p.Writable != writable || !p.Keep {
			t.Fatalf("%+v, %v", p, err)
		}
		mem, err := Map(p.File, 0, p.Size, writable)
		if err != nil {
			t.Fatal(err)
		}
		m.Bytes[4999] = 7
		if mem[4999] != 7 {
			t.Error("the two are not the same memory")
		}
		if writable {
			mem[1] = 8
			if m.Bytes[1] != 8 {
				t.Error("what is written there is not here")
			}
		} else if again, err := Map(p.File, 0, p.Size, true); err == nil {
			t.Errorf("%d bytes mapped for writing", len(again))
		}
		if err := errors.Join(Unmap(mem), p.File.Close(), m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	near.Close()
	if _, err := Receive(there); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want %v", err, io.EOF)
	}
}

// Bytes without a descriptor, or too few, are an error.
func TestBadParcel(t *testing.T) {
	for _, n := range []int{1, parcelBytes} {
		near, far, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		there, err := Conn(far)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if p, err := Receive(there); err == nil {
			t.Errorf("%d bytes: %+v", n, p)
		}
		near.Close()
		there.Close()
	}
}

// Two pieces of memory follow each other at neighbouring addresses.
func TestPlace(t *testing.T) {
	page := os.Getpagesize()
	a, err := New("a", 2*page, false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := New("b", page, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	whole, err := Reserve(2 * page)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Place(whole, 0, a.file, int64(page), page, false), Place(whole, page, b.file, 0, page, true)); err != nil {
		t.Fatal(err)
	}
	a.Bytes[2*page-1] = 3
	whole[page] = 4
	if whole[page-1] != 3 || b.Bytes[0] != 4 {
		t.Errorf("%d and %d, want 3 and 4", whole[page-1], b.Bytes[0])
	}
	for _, c := range [][3]int{{1, 0, page}, {0, 1, page}, {page, 0, 2 * page}, {-page, 0, page}, {0, 0, 0}} {
		if Place(whole, c[0], b.file, int64(c[1]), c[2], true) == nil {
			t.Errorf("%v: no error", c)
		}
	}
	if err := Unmap(whole); err != nil {
		t.Error(err)
	}
	for _, size := range []int{0, -1, 1 << 60} {
		if _, err := New("none", size, true); err == nil {
			t.Errorf("%d bytes were given", size)
		}
	}
}

// A file without a name serves where there is no memfd.
func TestFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := createFile("test", os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := Map(f, 0, os.Getpagesize(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := seal(f, false); err != nil {
		t.Error(err)
	}
	mem[0] = 1
	if err := Unmap(mem); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(os.Getenv("TMPDIR")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
