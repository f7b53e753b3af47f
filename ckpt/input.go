package ckpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unsafe"

	"troupe/tensor"
)

// input is one file of a checkpoint, open for reading at any offset.
type input struct {
	io.ReaderAt
	size int64    // bytes
	file *os.File // can be mapped; nil for files of an embed.FS and the like
	// sparse tells which parts of the file are there; nil: all.
	sparse Sparse
	io.Closer
}

// openInput opens a regular file of any file system. One that cannot be read at an offset is read whole.
func openInput(model fs.FS, name string) (*input, error) {
	f, err := model.Open(name)
	if err != nil {
		return nil, explain(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, explain(err)
	}
	in := &input{size: info.Size(), Closer: f}
	in.file, _ = f.(*os.File)
	if s, ok := f.(Sparse); ok {
		in.sparse, in.file = s, s.Mappable()
	}
	if r, ok := f.(io.ReaderAt); ok {
		in.ReaderAt = r
		return in, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, in.size))
	if err != nil {
		f.Close()
		return nil, explain(err)
	}
	in.ReaderAt, in.size = bytes.NewReader(data), int64(len(data))
	return in, nil
}

// region is the contents of one file in memory.
type region struct {
	data   []byte
	mapped bool           // unmap must be called
	shared *tensor.Region // nil: no other process can map it
	arena  *tensor.Arena  // of a copy; nil: none
}

// load maps the file, or copies it where it is no file of the operating system.
func (in *input) load() (region, error) {
	if int64(int(in.size)) != in.size {
		return region{}, fmt.Errorf("%d bytes do not fit this machine's address space: use a 64-bit machine", in.size)
	}
	if in.file != nil {
		return mapFile(in.file, int(in.size))
	}
	return readFile(in, int(in.size))
}

// readFile copies a file into memory, an arena so that other processes can map it.
func readFile(r io.ReaderAt, size int) (region, error) {
	if size == 0 {
		return region{}, nil
	}
	a, err := tensor.NewArena("weights", size)
	if err != nil {
		return region{}, err
	}
	data, err := a.Bytes(size)
	n := 0
	if err == nil {
		n, err = r.ReadAt(data, 0)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		err = explain(err)
	case n < size:
		err = fmt.Errorf("it was cut from %d to %d bytes while being read: copy the file again", size, n)
	default:
		return region{data: data, arena: a}, nil
	}
	return region{}, errors.Join(err, a.Close())
}

func (r *region) free() error {
	data := r.data
	r.data = nil
	switch {
	case data == nil:
		return nil
	case r.arena != nil:
		return r.arena.Close()
	case r.mapped:
		return errors.Join(r.shared.Close(), unmap(data))
	}
	return nil
}

var pageBytes = os.Getpagesize()

// around is a part of the region with the pages that it begins and ends on.
func (r *region) around(part []byte) []byte {
	lo := r.offset(part)
	return r.data[lo&^(pageBytes-1) : lo+len(part)]
}

// within is the whole pages of a part of the region.
func (r *region) within(part []byte) []byte {
	lo := r.offset(part)
	hi := (lo + len(part)) &^ (pageBytes - 1)
	return r.data[min((lo+pageBytes-1)&^(pageBytes-1), hi):hi]
}

// offset is where a part of the region begins.
func (r *region) offset(part []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(r.data))))
}
