//go:build cgo && (linux || darwin)

package main

// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"troupe/kernels"
)

// library is an opened library of a shared object.
type library struct {
	object *object
	c      *C.troupe_library
	frame  *frame // shared by the kernels: they run one at a time

	mu      sync.Mutex
	kernels map[*handle]bool // not given back
	closed  bool
}

func (o *object) open(t kernels.Threads) (kernels.Library, error) {
	var m memory
	defer m.free()
	threads, out, e := one[C.troupe_threads](&m), one[*C.troupe_library](&m), newFailure(&m)
	threads.decode, threads.prefill = C.uint32_t(max(t.Decode, 1)), C.uint32_t(max(t.Prefill, 1))
	if code := C.call_open(o.f, threads, out, e.c); code != C.TROUPE_OK {
		return nil, fmt.Errorf("cabi: %s: %w", o.info.Name, e.error("troupe_open", code))
	}
	if *out == nil {
		return nil, fmt.Errorf("cabi: %s: troupe_open: no library, and TROUPE_OK", o.info.Name)
	}
	return &library{object: o, c: *out, frame: newFrame(), kernels: map[*handle]bool{}}, nil
}

// Info is what the library says of itself.
func (l *library) Info() kernels.Info { return l.object.info }

// Compile hands a segment to the library.
func (l *library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k, err := l.compile(s)
	if err != nil {
		return nil, fmt.Errorf("cabi: %s: %w", l.object.info.Name, err)
	}
	return k, nil
}

func (l *library) compile(s kernels.Segment) (*kernel, error) {
	h := &handle{library: l}
	segment, err := newSegment(&h.mem, s)
	if err != nil {
		h.mem.free()
		return nil, err
	}
	var m memory
	defer m.free()
	out, e := one[*C.troupe_kernel](&m), newFailure(&m)
	if err := l.add(h); err != nil {
		h.mem.free()
		return nil, err
	}
	code := C.call_compile(l.object.f, l.c, segment, out, e.c)
	h.c = *out
	switch {
	case code != C.TROUPE_OK:
		err = e.error("troupe_compile", code)
		h.c = nil // whatever is there: a failed call hands nothing over
	case h.c == nil:
		err = errors.New("troupe_compile: no kernel, and TROUPE_OK")
	}
	if err != nil {
		h.free()
		return nil, err
	}
	k := &kernel{handle: h, name: l.object.info.Name, failure: newFailure(&h.mem), segment: s, attends: attends(s)}
	runtime.AddCleanup(k, (*handle).free, h)
	return k, nil
}

// Close gives back what is left of kernels, then the library.
func (l *library) Close() error {
	l.mu.Lock()
	closed, left := l.closed, l.kernels
	l.closed, l.kernels = true, nil
	l.mu.Unlock()
	if closed {
		return nil
	}
	for h := range left {
		h.release()
	}
	C.call_close(l.object.f, l.c)
	l.frame.mem.free()
	return nil
}

// handle is a kernel of C with the segment that it may look at.
type handle struct {
	library *library
	c       *C.troupe_kernel
	mem     memory
}

func (l *library) add(h *handle) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("compile: the library is closed")
	}
	l.kernels[h] = true
	return nil
}

// free gives a kernel back, once. It comes from Close of the kernel or, if nobody calls that, from the collector.
func (h *handle) free() {
	l := h.library
	l.mu.Lock()
	mine := l.kernels[h]
	delete(l.kernels, h)
	l.mu.Unlock()
	if mine {
		h.release()
	}
}

func (h *handle) release() {
	if h.c != nil {
		C.call_free(h.library.object.f, h.c)
		h.c = nil
	}
	h.mem.free()
}

// kernel is a compiled segment.
type kernel struct {
	*handle
	name    string
	failure failure
	segment kernels.Segment // keeps weights that lie in Go memory
	attends []int           // layers
}

var _ io.Closer = (*kernel)(nil)

// Run computes the segment for a batch.
func (k *kernel) Run(f *kernels.Frame) error {
	if k.c == nil {
		return fmt.Errorf("cabi: %s: run: the kernel was given back", k.name)
	}
	frame := k.library.frame
	code := C.call_run(k.library.object.f, k.c, frame.set(f, k.attends), k.failure.c)
	frame.pins.Unpin()
	runtime.KeepAlive(k) // the collector must not give it back meanwhile
	if code != C.TROUPE_OK {
		return fmt.Errorf("cabi: %s: %w", k.name, k.failure.error("troupe_run", code))
	}
	return nil
}

// Close gives the kernel back before the collector would.
func (k *kernel) Close() error {
	k.free()
	return nil
}
