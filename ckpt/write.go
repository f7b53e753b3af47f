package ckpt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"troupe/tensor"
)

// Source is one tensor to write; its place in the list is its file's index. Payload and Scales stream
// exactly the bytes of their arrays, in C order and little-endian: int8 or float32 as Spec says, and bfloat16
// [Groups, out] or [experts, Groups, out]. They run once, several tensors' at a time, and should return
// the writer's error. One that is nil leaves a hole, which reads as zeros and takes no room on disk.
type Source struct {
	Name   string // for errors
	Spec   tensor.Spec
	Groups int // scale groups of an int8 matrix; 0: plain
	// ScaleFlags are numpy's flags of bfloat16, 1 to 255, which differ by release of ml_dtypes and mean nothing;
	// 0: the usual ones.
	ScaleFlags int
	Payload    func(w io.Writer) error
	Scales     func(w io.Writer) error
}

// Write makes the directory ckpt-0 below dir, byte for byte as the published files are laid out. It works
// in a directory beside it, hidden and removed on failure or when ctx ends, and renames that at the end: a
// ckpt-0 that is there is whole. One that is there before is never touched.
func Write(ctx context.Context, dir string, tensors []Source, opt Options) error {
	name := func(i int) string { return tensors[i].Name }
	layouts := make([][]piece, len(tensors))
	bad := make([]error, len(tensors))
	total, solid := int64(0), int64(0)
	for i, t := range tensors {
		layouts[i], bad[i] = layout(t.Spec, t.Groups, t.ScaleFlags)
		total += sumBytes(layouts[i])
		solid += solidBytes(t, layouts[i])
	}
	if len(tensors) == 0 || len(tensors) > maxFiles {
		return fmt.Errorf("ckpt: write %d tensors, want 1 to %d", len(tensors), maxFiles)
	}
	if err := firstOf(collect(bad, name)); err != nil {
		return err
	}
	return writeInto(dir, dirName, solid, func(temp string) (string, error) {
		meter := newMeter(opt, total)
		pass := job{opt: opt, what: writing, tensor: name, stopAtFail: true}
		return temp, pass.each(ctx, len(tensors), func(i int) error {
			w := &fileWriter{ctx: ctx, meter: meter}
			return w.write(filepath.Join(temp, filepath.Base(fileName(i))), tensors[i], layouts[i])
		})
	})
}

const writing = "write the checkpoint"

// writeInto lets fill work in a new directory beside the final name in dir, and gives what it has made, the
// path that it returns, its name when all is on disk.
func writeInto(dir, name string, solid int64, fill func(temp string) (made string, err error)) (err error) {
	fail := func(err error) error { return &Error{File: name, Err: fmt.Errorf("in %s: %w", dir, explain(err))} }
	final := filepath.Join(dir, name)
	if _, err := os.Lstat(final); err == nil {
		return fail(fmt.Errorf("%w: remove it, or choose another directory", fs.ErrExist))
	}
	_, before := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	temp, err := os.MkdirTemp(dir, "."+name+".partial-")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if e := os.RemoveAll(temp); e != nil { // gone already if it was what was made
			err = errors.Join(err, e)
		}
		if err != nil && before != nil {
			_ = os.Remove(dir) // as it was; stays if something else is in it by now
		}
	}()
	if free, known := freeBytes(temp); known && free < solid {
		return fail(fmt.Errorf("needs %d bytes, %d are free: free space or choose another directory", solid, free))
	}
	made, err := fill(temp)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(temp, 0o755), syncDir(temp)); err != nil {
		return fail(err)
	}
	if err := os.Rename(made, final); err != nil {
		return fail(err)
	}
	return syncDir(dir)
}

// solidBytes is what a tensor takes on disk: all but its holes.
func solidBytes(t Source, pieces []piece) (sum int64) {
	for _, p := range pieces {
		if p.part == noPart || t.stream(p.part) != nil {
			sum += p.bytes()
		}
	}
	return sum
}

func (t Source) stream(p part) func(io.Writer) error {
	if p == weightPart {
		return t.Payload
	}
	return t.Scales
}

// fileWriter writes one tensor's file.
type fileWriter struct {
	ctx   context.Context
	meter *meter
	out   *bufio.Writer
	left  int64 // bytes that the array in hand may still write
}

func (w *fileWriter) write(path string, t Source, pieces []piece) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return explain(err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = explain(e)
		}
	}()
	w.out = bufio.NewWriterSize(f, 256<<10)
	for _, p := range pieces {
		if err := w.piece(f, t, p); err != nil {
			return explain(err)
		}
	}
	if err := errors.Join(w.out.Flush(), f.Sync()); err != nil {
		return explain(err)
	}
	return nil
}

func (w *fileWriter) piece(f *os.File, t Source, p piece) error {
	if p.part == noPart {
		w.meter.add(p.bytes())
		_, err := w.out.Write(p.text)
		return err
	}
	stream := t.stream(p.part)
	if stream == nil {
		if err := w.out.Flush(); err != nil {
			return err
		}
		w.meter.add(p.size)
		_, err := f.Seek(p.size, io.SeekCurrent)
		return err
	}
	w.left = p.size
	if err := stream(w); err != nil {
		return err
	}
	if w.left != 0 {
		return fmt.Errorf("its source wrote %d bytes of an array of %d", p.size-w.left, p.size)
	}
	return nil
}

// Write takes bytes of the array in hand.
func (w *fileWriter) Write(b []byte) (int, error) {
	if err := cancelled(w.ctx, writing); err != nil {
		return 0, err
	}
	if int64(len(b)) > w.left {
		return 0, fmt.Errorf("its source wrote %d bytes too many", int64(len(b))-w.left)
	}
	n, err := w.out.Write(b)
	w.left -= int64(n)
	w.meter.add(int64(n))
	return n, err
}
