package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// StageOptions says where and how much Stage may copy.
type StageOptions struct {
	Options
	Dir   string // a directory on a tmpfs; "" means /dev/shm
	Limit int64  // the most bytes that may be taken; 0: what is free
}

// Staged is a copy of a checkpoint in memory. Open reads it as a model directory; other processes of this
// user may read Dir while its owner lives.
type Staged struct {
	fs.FS
	Dir string

	lock *os.File // locked for as long as the copy is in use; the system unlocks it when the process ends
}

// Stage copies ckpt-0, or a packed file, into a tmpfs (the reference's copy_to_shm). A mapped checkpoint needs no copy, and its
// pages stay in the page cache as well; a copy pays where the storage is slow, or drops its cache.
//
// It refuses before the first byte when the copy exceeds the limit, the room in the tmpfs, or the memory that
// the system, or a container's limit, can give. Copies of processes that died are removed first. Stage needs Linux.
func Stage(ctx context.Context, model fs.FS, opt StageOptions) (*Staged, error) {
	if opt.Dir == "" {
		opt.Dir = "/dev/shm"
	}
	files, err := stageFiles(model, opt)
	if err != nil {
		return nil, err
	}
	if err := SweepStaged(opt.Dir, opt.Options); err != nil {
		return nil, err
	}
	if err := roomFor(files, opt); err != nil {
		return nil, stageError(opt.Dir, err)
	}
	s, err := claimStage(opt.Dir)
	if err != nil {
		return nil, stageError(opt.Dir, err)
	}
	if err := s.fill(ctx, model, files, opt.Options); err != nil {
		if e := s.Close(); e != nil {
			err = errors.Join(err, e)
		}
		return nil, err
	}
	opt.log().Info("checkpoint staged", "dir", s.Dir, "bytes", stageBytes(files))
	return s, nil
}

// stageFile is a file to copy.
type stageFile struct {
	name string // below the model directory
	size int64  // bytes
}

// stageFiles lists what Open reads.
func stageFiles(model fs.FS, opt StageOptions) (files []stageFile, err error) {
	if HasPacked(model) {
		size, err := regularSize(model, PackedName)
		if err != nil {
			return nil, &Error{File: PackedName, Err: err}
		}
		return []stageFile{{PackedName, size}}, nil
	}
	l, err := list(model, opt.log())
	if err != nil {
		return nil, err
	}
	for i, f := range l.files {
		files = append(files, stageFile{fileName(i), f.size})
	}
	return files, firstOf(l.expect(len(l.files), noNames))
}

func stageBytes(files []stageFile) (sum int64) {
	for _, f := range files {
		sum += f.size
	}
	return sum
}

func stageError(dir string, err error) error {
	return fmt.Errorf("ckpt: stage in %s: %w", dir, explain(err))
}

// roomFor compares the size of the copy with all that bounds it.
func roomFor(files []stageFile, opt StageOptions) error {
	const page = 4096 // a tmpfs stores whole pages
	need := int64(0)
	for _, f := range files {
		need += (f.size + page - 1) / page * page
	}
	if opt.Limit > 0 && need > opt.Limit {
		return fmt.Errorf("needs %d bytes, the limit is %d: raise the limit, or run without the copy", need, opt.Limit)
	}
	room, memory, err := tmpfsRoom(opt.Dir)
	switch {
	case err != nil:
		return err
	case need > room:
		return fmt.Errorf("needs %d bytes, %d are free: enlarge the tmpfs (mount -o remount,size=…), or run without the copy", need, room)
	case need > memory:
		return fmt.Errorf("needs %d bytes, the system has %d bytes of memory left: free memory, or run without the copy", need, memory)
	}
	return nil
}

// fill copies all files.
func (s *Staged) fill(ctx context.Context, model fs.FS, files []stageFile, opt Options) error {
	if err := os.Mkdir(filepath.Join(s.Dir, dirName), 0o700); err != nil {
		return stageError(s.Dir, err)
	}
	meter := newMeter(opt, stageBytes(files))
	pass := job{opt: opt, what: "stage the checkpoint", tensor: noNames, stopAtFail: true, file: func(i int) string { return files[i].name }}
	return pass.each(ctx, len(files), func(i int) error {
		return copyFile(ctx, model, files[i].name, filepath.Join(s.Dir, filepath.FromSlash(files[i].name)), files[i].size, meter)
	})
}

// copyFile copies a file of size bytes in chunks, and stops between two when ctx ends.
func copyFile(ctx context.Context, model fs.FS, name, to string, size int64, meter *meter) error {
	src, err := model.Open(name)
	if err != nil {
		return explain(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return explain(err)
	}
	for left := size; left > 0 && err == nil && ctx.Err() == nil; {
		var n int64
		n, err = io.CopyN(dst, src, min(left, chunkBytes))
		left -= n
		meter.add(n)
	}
	if e := dst.Close(); err == nil {
		err = e
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it was cut short while being copied, want %d bytes: get the file again", size)
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// Close removes the copy. What is mapped from it stays readable until unmapped.
func (s *Staged) Close() error {
	if s.lock == nil {
		return nil
	}
	err := errors.Join(os.RemoveAll(s.Dir), s.lock.Close())
	s.lock = nil
	return err
}
