package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"troupe/ckpt"
)

const (
	configName = "config.json"

	// What is looked at of an extent for File.Sample: it costs some 30,000 reads of a page for Grok-1.
	samples     = 8
	sampleBytes = 64

	describers = 8 // files looked at at a time
)

// Describe makes the manifest of a model directory: config.json, if there is one, and the files that layouts has.
// tensors is the list that the layouts count in. It reads headers and samples, not the arrays.
func Describe(ctx context.Context, dir fs.FS, tensors []Tensor, layouts []ckpt.Layout) (*Manifest, error) {
	m := &Manifest{Format: format, Tensors: tensors}
	info, err := fs.Stat(dir, configName)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("mirror: %s: not a regular file (%v)", configName, info.Mode().Type())
	case err == nil:
		m.Files = append(m.Files, File{Name: configName, Size: info.Size(), Extents: []Extent{}})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("mirror: %w", err)
	}
	for _, l := range layouts {
		f := File{Name: l.File, Size: l.Bytes, Extents: make([]Extent, len(l.Extents))}
		for i, x := range l.Extents {
			f.Extents[i] = Extent{int64(x.Tensor), int64(x.Expert), x.Offset, x.Bytes}
		}
		m.Files = append(m.Files, f)
	}
	if err := m.sampleAll(ctx, dir); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("mirror: this directory cannot be described: %w", err)
	}
	_, err = m.encode()
	return m, err
}

// sampleAll fills in the samples of all files.
func (m *Manifest) sampleAll(ctx context.Context, dir fs.FS) error {
	return eachFile(ctx, "describe", m.Files, func(f *File) (err error) {
		f.Sample, err = f.sample(dir)
		return err
	})
}

// Compare holds the files of another directory against the manifest: those of which something is wanted have to be
// there, with the same size, headers and samples. It is how hosts that have files of their own find out that they
// have the same checkpoint. The error names the first file that differs.
func (m *Manifest) Compare(ctx context.Context, dir fs.FS, want func(tensor string, layer, expert int) bool) error {
	var files []File
	for i := range m.Files {
		if m.wants(i, want) {
			files = append(files, m.Files[i])
		}
	}
	return eachFile(ctx, "compare", files, func(f *File) error {
		got, err := f.sample(dir)
		if err == nil && got != f.Sample {
			err = errors.New("not the same file as on the other host: use one checkpoint on all hosts")
		}
		return err
	})
}

// eachFile does something with files, several at a time. The error is the first in their order.
func eachFile(ctx context.Context, what string, files []File, do func(f *File) error) error {
	bad := make([]error, len(files))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(describers, len(files)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				if err := do(&files[i]); err != nil {
					bad[i] = fmt.Errorf("mirror: %s: %w", files[i].Name, err)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("mirror: %s: stopped: %w", what, context.Cause(ctx))
	}
	for _, err := range bad {
		if err != nil {
			return err
		}
	}
	return nil
}

// sample hashes everything of a file that lies in no extent, and some bytes of each extent.
func (f *File) sample(dir fs.FS) (string, error) {
	r, err := openAt(dir, f.Name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	if r.size != f.Size {
		return "", fmt.Errorf("%d bytes, want %d: not the same file, or it is being written", r.size, f.Size)
	}
	h := sha256.New()
	for lo, hi := range f.frame() {
		if err := hashRange(h, r, lo, hi-lo); err != nil {
			return "", err
		}
	}
	for _, x := range f.Extents {
		if x[0] < 0 {
			continue
		}
		offset, n := x[2], x[3]
		if n <= samples*sampleBytes {
			err = hashRange(h, r, offset, n)
		} else {
			for k := range int64(samples) {
				if err == nil {
					err = hashRange(h, r, offset+(n-sampleBytes)/(samples-1)*k, sampleBytes)
				}
			}
		}
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashRange(h hash.Hash, r io.ReaderAt, offset, n int64) error {
	got, err := io.Copy(h, io.NewSectionReader(r, offset, n))
	if err == nil && got < n {
		err = fmt.Errorf("cut short at byte %d while being read", offset+got)
	}
	return err
}

// openedFile is a file that can be read at any offset.
type openedFile struct {
	io.ReaderAt
	io.Closer
	size int64
	info fs.FileInfo
}

func openAt(dir fs.FS, name string) (*openedFile, error) {
	info, err := fs.Stat(dir, name) // before it is opened: a pipe would wait for ever
	if err != nil {
		return nil, plainError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%v)", info.Mode().Type())
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, plainError(err)
	}
	r, ok := f.(io.ReaderAt)
	if info, err = f.Stat(); err != nil || !ok {
		f.Close()
		return nil, errors.Join(err, errors.New("cannot be read at an offset: give a directory of the operating system"))
	}
	return &openedFile{r, f, info.Size(), info}, nil
}

// plainError is an error of the operating system without the path, which its reader has already.
func plainError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
