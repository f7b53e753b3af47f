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
	name := func(i int) string { return c.Tensors[i].Name }
	bad := make([]error, len(c.Tensors))
	err := each(ctx, len(c.Tensors), opt, "check the values", func(i int) {
		t := &c.Tensors[i]
		bad[i] = guard(func() error {
			switch {
			case t.Groups > 0:
				return checkScales(t)
			case len(t.Data) <= smallArray:
				return checkFinite(t.Data, 0)
			}
			return nil
		})
		if !opt.Prefault {
			meter.add(t.Bytes)
		}
	})
	if err != nil {
		return err
	}
	if err := firstOf(collect(bad, name)); err != nil || !opt.Prefault {
		return err
	}
	// The first failure ends this pass; files are handed out in order, and those begun are finished.
	pass, stop := context.WithCancel(ctx)
	defer stop()
	err = each(pass, len(c.Tensors), opt, "read the pages", func(i int) {
		if bad[i] = guard(func() error { return c.prefault(ctx, i, meter) }); bad[i] != nil {
			stop()
		}
	})
	if failed := firstOf(collect(bad, name)); failed != nil {
		return failed
	}
	return err
}

// prefault brings the pages of a tensor into memory, and checks large float32 arrays on the way.
func (c *Checkpoint) prefault(ctx context.Context, i int, meter *meter) error {
	t, r := &c.Tensors[i], &c.regions[i]
	for part := range slices.Chunk(r.data, chunkBytes) {
		if ctx.Err() != nil {
			return nil // each says so
		}
		if r.mapped {
			populate(part)
		}
		meter.add(int64(len(part)))
	}
	if t.Groups > 0 || len(t.Data) <= smallArray {
		return nil
	}
	done := int64(0)
	for part := range slices.Chunk(t.Data, chunkBytes) {
		if err := checkFinite(part, done/4); err != nil || ctx.Err() != nil {
			return err
		}
		done += int64(len(part))
	}
	return nil
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
