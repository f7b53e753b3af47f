package ckpt

import (
	"context"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
)

// Verify reads the whole of a packed file and compares every array with its checksum. It gives the arrays
// that are damaged, in the order of the file; err says that the comparison could not be made.
func Verify(ctx context.Context, model fs.FS, wants []Want, opt Options) (damaged []*Error, err error) {
	in, err := openPackedInput(model)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p, _, err := findPacked(in, wants)
	if err != nil {
		return nil, err
	}
	r, err := in.load()
	if err != nil {
		return nil, &Error{File: PackedName, Err: err}
	}
	defer func() {
		if e := r.free(); err == nil {
			err = e
		}
	}()
	entries := slices.DeleteFunc(slices.Clone(p.entries), packedEntry.padding)
	bad, total := make([]error, len(entries)), int64(0)
	for _, e := range entries {
		total += e.hi - e.lo
	}
	name, file := func(i int) string { return entries[i].name }, func(int) string { return PackedName }
	meter := newMeter(opt, total)
	pass := job{opt: opt, what: "verify the checksums", tensor: name, file: file}
	err = pass.each(ctx, len(entries), func(i int) error {
		e := entries[i]
		sum := nameSum(e.name)
		bad[i] = guard(func() error {
			for part := range slices.Chunk(r.data[p.base+e.lo:p.base+e.hi], chunkBytes) {
				if ctx.Err() != nil {
					return nil // each says so
				}
				sum = crc32.Update(sum, castagnoli, r.bring(part))
				r.letGo(part)
				meter.add(int64(len(part)))
			}
			if sum != p.sums[i] {
				return fmt.Errorf("checksum %08x, want %08x: its bytes are damaged: copy the file again, or convert the model again", sum, p.sums[i])
			}
			return nil
		})
		return nil
	})
	return collectIn(bad, file, name), err
}
