package ckpt

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
)

const (
	smallArray = 16 << 20 // bytes of a float32 array whose values are checked without Prefault: 5 ms
	chunkBytes = 16 << 20 // work between two looks at the context; a multiple of every page size
)

// check looks at values in two passes, so that a bad scale is found before hundreds of gigabytes are
// read in: what is small first, then, with Prefault, everything.
func (c *Checkpoint) check(ctx context.Context, opt Options) error {
	meter := newMeter(opt, c.Bytes())
	pass := job{opt: opt, what: "check the values", tensor: func(i int) string { return c.Tensors[i].Name },
		file: func(i int) string { return c.Tensors[i].File }}
	err := pass.each(ctx, len(c.Tensors), func(i int) error {
		t := &c.Tensors[i]
		if t.None() {
			return nil
		}
		if !opt.Prefault {
			defer meter.add(t.Bytes)
		}
		return guard(func() error {
			switch {
			case t.Groups > 0:
				return checkScales(t)
			case len(t.Data) <= smallArray:
				return t.eachHere(func(e int) error { return checkFinite(t.data(e), int64(e*len(t.data(e))/4)) })
			}
			return nil
		})
	})
	if err != nil || !opt.Prefault {
		return err
	}
	pass.what, pass.stopAtFail = "read the pages", true
	return pass.each(ctx, len(c.Tensors), func(i int) error {
		if t := &c.Tensors[i]; t.None() {
			return nil
		} else if opt.SkipInt8 && t.Groups > 0 {
			meter.add(t.Bytes)
			return nil
		}
		return guard(func() error { return c.prefault(ctx, i, meter) })
	})
}

// prefault brings the pages of a tensor into memory, and checks large float32 arrays on the way.
func (c *Checkpoint) prefault(ctx context.Context, i int, meter *meter) error {
	t, r := &c.Tensors[i], c.regionOf(i)
	parts := [][]byte{r.data} // all of a pickle
	if c.Packed() || t.Absent != nil {
		parts = t.here()
	}
	for _, p := range parts {
		for part := range slices.Chunk(p, chunkBytes) {
			if ctx.Err() != nil {
				return nil // each says so
			}
			r.bring(part)
			meter.add(int64(len(part)))
		}
	}
	if t.Groups > 0 || len(t.Data) <= smallArray {
		return nil
	}
	return t.eachHere(func(e int) error {
		data := t.data(e)
		done := int64(e * len(data))
		for part := range slices.Chunk(data, chunkBytes) {
			if err := checkFinite(part, done/4); err != nil || ctx.Err() != nil {
				return err
			}
			done += int64(len(part))
		}
		return nil
	})
}

// guard turns a fault on mapped memory, which a bad disk or a file cut short causes, into an error.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if _, fault := p.(interface{ Addr() uintptr }); !fault {
			panic(p)
		}
		err = errors.New("its pages could not be read: the disk failed or the file was cut short: check the disk, copy the file again")
	}()
	return do()
}

// touch reads one byte of each page. Inlined, its result would be unused and its reads dropped.
//
//go:noinline
func touch(b []byte) (sum byte) {
	const page = 4096 // the smallest anywhere
	for i := 0; i < len(b); i += page {
		sum += b[i]
	}
	return sum
}
