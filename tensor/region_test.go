//go:build linux

package tensor

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What another process maps by the descriptor is the arena, and it can neither write to it nor cut it short.
func TestRegionOfArena(t *testing.T) {
	before := Regions()
	a, err := NewArena("test", 3*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Bytes(100); err != nil {
		t.Fatal(err)
	}
	x, err := Slice[float32](a, 10)
	if err != nil {
		t.Fatal(err)
	}
	r, offset, ok := RegionOf(x[3:])
	if !ok || offset != 128+12 || r.Size != 3*os.Getpagesize() {
		t.Fatalf("%+v at %d, %v, want offset 140", r, offset, ok)
	}
	f, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	mem, err := unix.Mmap(fd, 0, r.Size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	x[3] = 1
	if got, _ := Float32s(mem[offset : offset+4]); got[0] != 1 {
		t.Errorf("the mapping holds %v, want 1", got[0])
	}
	if _, err := unix.Mmap(fd, 0, r.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("mapped for writing")
	}
	for _, size := range []int64{0, 1 << 20} {
		if err := unix.Ftruncate(a.fd, size); err == nil {
			t.Errorf("the arena's size became %d", size)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, _, ok := RegionOf(x); ok || !r.Closed() || Regions() != before {
		t.Errorf("closed: found %v, closed %v, %d regions, want %d", ok, r.Closed(), Regions(), before)
	}
	if _, err := r.File(); err == nil {
		t.Error("a descriptor of a closed region")
	}
}

func TestRegionOfFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, 5, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	r := ShareFile("x", mem, f)
	f.Close()
	if at, offset, ok := RegionOf(mem[2:4]); !ok || at != r || offset != 2 {
		t.Errorf("%+v at %d, %v", at, offset, ok)
	}
	if _, _, ok := RegionOf(make([]byte, 8)); ok {
		t.Error("memory of the heap is in a region")
	}
	again, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	got := make([]byte, 5)
	if _, err := again.ReadAt(got, 0); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// Weights that another process is to map lie in a region only where that was said before.
func TestShareAll(t *testing.T) {
	for _, share := range []bool{false, true} {
		ShareAll(share)
		a, err := NewHugeArena("test", 1000)
		ShareAll(false)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := a.Bytes(10)
		if _, _, ok := RegionOf(x); ok != share {
			t.Errorf("in a region: %v, want %v", ok, share)
		}
		a.Close()
	}
}
