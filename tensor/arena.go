package tensor

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// arenaAlign keeps buffers apart by whole cache lines, so that two writers never share one.
const arenaAlign = 64

// Arena is one region of memory outside the Go heap. Buffers are cut from its front and are all
// given back together by Close: KV caches and activations live as long as their device.
// Pages cost nothing until they are touched.
type Arena struct {
	name  string
	mem   []byte
	whole []byte // what was mapped: mem may begin later, at an aligned address
	fd    int    // memfd, or -1
	share *Region

	mu   sync.Mutex
	used int
}

// NewArena reserves size bytes, on Linux as a region that no process can shrink or grow. The name appears in errors and, on Linux, in /proc/PID/maps.
func NewArena(name string, size int) (*Arena, error) {
	if size <= 0 {
		return nil, fmt.Errorf("tensor: arena %s: size %d: want more than 0", name, size)
	}
	mem, fd, err := mapRegion(name, size)
	if err != nil {
		return nil, fmt.Errorf("tensor: arena %s: %d bytes: %w: ask for a smaller KV cache or batch", name, size, err)
	}
	a := &Arena{name: name, mem: mem, whole: mem, fd: fd}
	if fd >= 0 {
		a.share = share(name, mem, fd, false)
	}
	return a, nil
}

// NewHugeArena reserves size bytes of this process alone, in huge pages where the system has them: for weights,
// which are read from end to end, 5 to 20 % faster where 2 MiB have one address to look up. The first touch may cost
// more: where the host of a virtual machine had to supply the memory, 0.4 GB/s instead of 2. After ShareAll it is
// an arena that others can map.
func NewHugeArena(name string, size int) (*Arena, error) {
	if shareAll.Load() {
		return NewArena(name, size)
	}
	if size <= 0 {
		return nil, fmt.Errorf("tensor: arena %s: size %d: want more than 0", name, size)
	}
	whole, mem, err := mapHuge(size)
	if err != nil {
		return nil, fmt.Errorf("tensor: arena %s: %d bytes: %w: free memory, or raise the limit on it (ulimit -v)", name, size, err)
	}
	return &Arena{name: name, mem: mem, whole: whole, fd: -1}, nil
}

// Bytes cuts n bytes, zeroed, 64-byte aligned, valid until Close.
func (a *Arena) Bytes(n int) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n < 0 || n > len(a.mem)-a.used {
		return nil, fmt.Errorf("tensor: arena %s: %d bytes wanted, %d of %d left", a.name, n, len(a.mem)-a.used, len(a.mem))
	}
	b := a.mem[a.used : a.used+n : a.used+n]
	a.used = min(len(a.mem), (a.used+n+arenaAlign-1)/arenaAlign*arenaAlign)
	return b, nil
}

// Close gives the region back. No buffer of the arena may be used afterwards.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return nil
	}
	err := errors.Join(a.share.Close(), unmapRegion(a.whole, a.fd))
	a.mem, a.whole, a.fd = nil, nil, -1
	return err
}

// Slice cuts n numbers of type T from an arena.
func Slice[T float32 | uint16 | int8 | int32](a *Arena, n int) ([]T, error) {
	var t T
	size := int(unsafe.Sizeof(t))
	if n < 0 || n > (1<<62)/size {
		return nil, fmt.Errorf("tensor: arena %s: %d elements", a.name, n)
	}
	b, err := a.Bytes(n * size)
	if err != nil || n == 0 {
		return nil, err
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}
