package ckpt

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

// WritePacked writes a packed file into dir, with the arrays in the order of the list: readers are fastest when
// that is the order in which a model reads them. What meta says goes into the file's metadata.
//
// Several arrays are written at a time, straight to their places. The file has its name only when it is whole and
// on disk; what was begun is removed on failure or when ctx ends. A file that is there before is never touched.
func WritePacked(ctx context.Context, dir string, arrays []Array, meta map[string]string, opt Options) error {
	entries, err := packedLayout(arrays)
	if err != nil {
		return err
	}
	if len(arrays) == 0 {
		return errors.New("ckpt: write a packed file of no arrays, want 1 or more")
	}
	blank, err := packedHeader(entries, meta, strings.Repeat("0", crcDigits*len(arrays)))
	if err != nil {
		return err
	}
	base, data := int64(len(blank)), entries[len(entries)-1].hi
	return writeInto(dir, PackedName, base+data, func(temp string) (string, error) {
		path := filepath.Join(temp, PackedName)
		return path, writePacked(ctx, path, arrays, entries, meta, base, opt)
	})
}

func writePacked(ctx context.Context, path string, arrays []Array, entries []packedEntry, meta map[string]string, base int64, opt Options) (err error) {
	fail := func(err error) error { return &Error{File: PackedName, Err: explain(err)} }
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fail(e)
		}
	}()
	if err := f.Truncate(base + entries[len(entries)-1].hi); err != nil { // the padding stays a hole
		return fail(err)
	}
	var places []packedEntry
	total := int64(0)
	for _, e := range entries {
		if !e.padding() {
			places = append(places, e)
			total += e.hi - e.lo
		}
	}
	sums, meter := make([]uint32, len(arrays)), newMeter(opt, total)
	pass := job{opt: opt, what: writing, stopAtFail: true, tensor: func(i int) string { return arrays[i].Name }, file: func(int) string { return PackedName }}
	err = pass.each(ctx, len(arrays), func(i int) error {
		w := &arrayWriter{ctx: ctx, meter: meter, f: f, at: base + places[i].lo, left: places[i].hi - places[i].lo, sum: nameSum(places[i].name)}
		err := arrays[i].Payload(w)
		if err == nil && w.left > 0 {
			err = fmt.Errorf("its source wrote %d bytes too few of %v", w.left, arrays[i].Spec)
		}
		if err != nil {
			return explain(err)
		}
		sums[i] = w.sum
		return nil
	})
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&text, "%0*x", crcDigits, s)
	}
	header, err := packedHeader(entries, meta, text.String())
	if err == nil {
		_, err = f.WriteAt(header, 0)
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return fail(err)
	}
	return nil
}

// nameSum begins the checksum of an array.
func nameSum(name string) uint32 { return crc32.Checksum([]byte(name), castagnoli) }

// arrayWriter writes one array of a packed file.
type arrayWriter struct {
	ctx      context.Context
	meter    *meter
	f        *os.File
	at, left int64
	sum      uint32
}

// Write takes the next bytes of the array.
func (w *arrayWriter) Write(b []byte) (n int, err error) {
	if int64(len(b)) > w.left {
		return 0, fmt.Errorf("its source wrote %d bytes too many", int64(len(b))-w.left)
	}
	for len(b) > 0 {
		if err := cancelled(w.ctx, writing); err != nil {
			return n, err
		}
		part := b[:min(len(b), chunkBytes)]
		k, err := w.f.WriteAt(part, w.at)
		w.sum = crc32.Update(w.sum, castagnoli, part[:k])
		w.at, w.left, n = w.at+int64(k), w.left-int64(k), n+k
		w.meter.add(int64(k))
		if err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}
