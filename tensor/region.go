package tensor

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Region is memory of this process that others can map: an arena, or a mapped file. A pointer becomes
// something to tell another process by RegionOf.
type Region struct {
	ID   uint64 // never used again
	Name string
	Size int

	base   uintptr
	fd     int
	own    bool // fd is closed with the region
	closed atomic.Bool
}

var regions struct {
	sync.RWMutex
	lastID uint64
	list   []*Region // by address
}

// shareAll is set by ShareAll.
var shareAll atomic.Bool

// ShareAll has arenas made from now on be regions also where that has a price: weights in ordinary pages
// instead of huge ones on Linux, a mapped temporary file on other systems. Without it those are memory of
// this process alone, and who lends them to another process has to copy.
func ShareAll(share bool) { shareAll.Store(share) }

// share registers memory that begins offset 0 of a descriptor. own: the region closes it.
func share(name string, mem []byte, fd int, own bool) *Region {
	r := &Region{Name: name, Size: len(mem), base: uintptr(unsafe.Pointer(unsafe.SliceData(mem))), fd: fd, own: own}
	regions.Lock()
	defer regions.Unlock()
	regions.lastID++
	r.ID = regions.lastID
	at, _ := slices.BinarySearchFunc(regions.list, r.base, byBase)
	regions.list = slices.Insert(regions.list, at, r)
	return r
}

func byBase(r *Region, base uintptr) int {
	switch {
	case r.base < base:
		return -1
	case r.base > base:
		return 1
	}
	return 0
}

// ShareFile registers a file's mapping, from its first byte on. The file may be closed afterwards. Close the
// region before the memory is unmapped. Where the system has no descriptor to give there is none: nil, and who
// lends the memory has to copy it.
func ShareFile(name string, mem []byte, f *os.File) *Region {
	if len(mem) == 0 {
		return nil
	}
	fd, err := duplicate(int(f.Fd()))
	if err != nil || fd < 0 {
		return nil
	}
	return share(name, mem, fd, true)
}

// RegionOf finds the region that holds a slice, and where in it the slice begins, in bytes.
func RegionOf[T any](s []T) (r *Region, offset int, ok bool) {
	if len(s) == 0 {
		return nil, 0, false
	}
	return regionAt(uintptr(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

func regionAt(p uintptr, n int) (*Region, int, bool) {
	regions.RLock()
	defer regions.RUnlock()
	at, found := slices.BinarySearchFunc(regions.list, p, byBase)
	if !found {
		at--
	}
	if at < 0 {
		return nil, 0, false
	}
	r := regions.list[at]
	offset := int(p - r.base)
	if offset > r.Size-n {
		return nil, 0, false
	}
	return r, offset, true
}

// Regions is how many there are, for tests of what is given back.
func Regions() int {
	regions.RLock()
	defer regions.RUnlock()
	return len(regions.list)
}

// File is another descriptor of the memory, read-only where the system can make one.
func (r *Region) File() (*os.File, error) {
	regions.RLock()
	defer regions.RUnlock()
	if r.closed.Load() {
		return nil, fmt.Errorf("tensor: region %s: %w", r.Name, os.ErrClosed)
	}
	fd, err := readOnly(r.fd)
	if err != nil {
		return nil, fmt.Errorf("tensor: region %s: %w", r.Name, err)
	}
	return os.NewFile(uintptr(fd), r.Name), nil
}

// Closed tells that the memory is no longer this process's: whoever has mapped it should let go.
func (r *Region) Closed() bool { return r.closed.Load() }

// Close takes the region off the list; a nil one is none.
func (r *Region) Close() error {
	if r == nil {
		return nil
	}
	regions.Lock()
	defer regions.Unlock()
	if r.closed.Swap(true) {
		return nil
	}
	regions.list = slices.DeleteFunc(regions.list, func(x *Region) bool { return x == r })
	if r.own {
		return closeDescriptor(r.fd)
	}
	return nil
}
