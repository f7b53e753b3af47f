//go:build cgo && (linux || darwin)

package main

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"

	"troupe/kernels"
)

// frame is a batch as C sees it. Its arrays grow and are used again, so that a run allocates nothing once the largest
// batch has been seen. Addresses are written as numbers: what was there before is no pointer of Go's any more.
type frame struct {
	mem                 memory
	c                   *C.troupe_frame
	pins                runtime.Pinner // until the run is over
	bufs, tables, skips lists
	layers              []layer
}

// lists is an array of slices as C sees it: addresses and lengths.
type lists struct {
	at  []uintptr
	len []C.uint64_t
}

// layer has the shape of a troupe_cache_layer.
type layer [4]uintptr

func newFrame() *frame {
	f := &frame{}
	f.c = one[C.troupe_frame](&f.mem)
	return f
}

// set describes a batch; the layers are those whose cache is wanted.
func (f *frame) set(b *kernels.Frame, layers []int) *C.troupe_frame {
	c, r := f.c, &b.Rows
	put(&c.bufs, f.bufs.set(f, len(b.Bufs)))
	for i, buf := range b.Bufs {
		f.bufs.at[i], f.bufs.len[i] = hold(f, buf), C.uint64_t(len(buf))
	}
	put(&c.buf_len, address(f.bufs.len))
	c.num_bufs, c.rows = C.uint32_t(len(b.Bufs)), C.uint32_t(r.N)
	put(&c.token, hold(f, r.Token))
	put(&c.pos, hold(f, r.Pos))
	put(&c.seq, hold(f, r.Seq))
	put(&c.first, hold(f, r.First))
	put(&c.keyless, hold(f, r.Keyless))
	put(&c.prompt, hold(f, r.Prompt))
	put(&c.draw, hold(f, r.Draw))
	c.draws = C.uint32_t(len(r.Draw))
	f.setSequences(r)
	put(&c.pair_start, hold(f, b.Pairs.Start))
	put(&c.gate, hold(f, b.Pairs.Gate))
	c.pairs = C.uint64_t(len(b.Pairs.Gate))
	put(&c.work_row, hold(f, b.Work.Row))
	put(&c.work_dst, hold(f, b.Work.Dst))
	c.work = C.uint64_t(len(b.Work.Row))
	f.setCache(b.Cache, layers)
	return c
}

func (f *frame) setSequences(r *kernels.Rows) {
	c := f.c
	c.sequences = C.uint32_t(len(r.Tables))
	put(&c.tables, f.tables.set(f, len(r.Tables)))
	put(&c.skip, f.skips.set(f, len(r.Tables)))
	for i, t := range r.Tables {
		f.tables.at[i], f.tables.len[i] = hold(f, t), C.uint64_t(len(t))
	}
	for i := range r.Tables {
		f.skips.at[i], f.skips.len[i] = 0, 0
		if i < len(r.Skip) {
			f.skips.at[i], f.skips.len[i] = hold(f, r.Skip[i]), C.uint64_t(len(r.Skip[i]))
		}
	}
	put(&c.table_len, address(f.tables.len))
	put(&c.skip_len, address(f.skips.len))
}

func (f *frame) setCache(cache *kernels.Cache, layers []int) {
	c := f.c
	c.cache_layers, c.cache_half, c.cache_blocks = 0, 0, 0
	put(&c.cache, 0)
	if cache == nil || len(layers) == 0 {
		return
	}
	f.layers = room(f, f.layers, len(cache.Layers))
	clear(f.layers)
	for _, n := range layers {
		if n >= 0 && n < len(cache.Layers) {
			l := &cache.Layers[n]
			f.layers[n] = layer{hold(f, l.K32), hold(f, l.V32), hold(f, l.K16), hold(f, l.V16)}
		}
	}
	put(&c.cache, address(f.layers))
	c.cache_layers, c.cache_blocks = C.uint32_t(len(cache.Layers)), C.uint64_t(cache.Blocks)
	if cache.Half {
		c.cache_half = 1
	}
}

// set makes room for n slices and returns the address of their addresses.
func (l *lists) set(f *frame, n int) uintptr {
	l.at, l.len = room(f, l.at, n), room(f, l.len, n)
	return address(l.at)
}

// room returns an array of n, the one it is given if that is large enough. An old one is kept until the library is
// closed: sizes double, so that all of them are not more than the last.
func room[T any](f *frame, old []T, n int) []T {
	if n <= cap(old) {
		return old[:n]
	}
	return many[T](&f.mem, max(n, 2*cap(old)))[:n]
}

// hold pins a slice's memory for the run and returns its address.
func hold[T any](f *frame, s []T) uintptr {
	if len(s) > 0 {
		f.pins.Pin(unsafe.Pointer(unsafe.SliceData(s)))
	}
	return address(s)
}

func address[T any](s []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }

// put writes an address into a field that is a pointer.
func put[T any](field **T, address uintptr) { *(*uintptr)(unsafe.Pointer(field)) = address }
