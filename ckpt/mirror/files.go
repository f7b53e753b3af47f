package mirror

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// ErrMissing says that bytes are wanted that were not fetched.
var ErrMissing = errors.New("not fetched")

// find is the number of a file; -1: there is none.
func (v *Mirror) find(name string) int {
	if i, ok := v.names[name]; ok {
		return i
	}
	return -1
}

// Open opens a file of the model directory for reading. What describes it has to be there; arrays of it may be
// missing: the file is a ckpt.Sparse.
func (v *Mirror) Open(name string) (fs.File, error) {
	bad := func(err error) (fs.File, error) { return nil, &fs.PathError{Op: "open", Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return bad(fs.ErrInvalid)
	}
	i := v.find(name)
	if i < 0 {
		if entries := v.entries(name); entries != nil {
			return &directory{name: name, entries: entries}, nil
		}
		return bad(fs.ErrNotExist)
	}
	for lo, hi := range v.man.Files[i].frame() {
		if err := v.present(i, lo, hi); err != nil {
			return bad(err)
		}
	}
	v.begun.Store(true)
	f, err := os.Open(v.path(i))
	if errors.Is(err, fs.ErrNotExist) && v.man.Files[i].Size == 0 {
		f, err = v.file(i)
	}
	if err != nil {
		return bad(plainError(err))
	}
	return &sparse{f, v, i}, nil
}

// present is nil if bytes of file i are there.
func (v *Mirror) present(i int, lo, hi int64) error {
	f := &v.man.Files[i]
	if lo < 0 || hi > f.Size || lo > hi {
		return fmt.Errorf("bytes %d to %d of %d: %w", lo, hi, f.Size, ErrMissing)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for k := lo / PieceBytes; k*PieceBytes < hi; k++ {
		if !v.have[i].has(int(k)) {
			return fmt.Errorf("bytes %d to %d: piece %d of this copy is %w: fetch it", lo, hi, k, ErrMissing)
		}
	}
	return nil
}

// sparse is an open file of a mirror.
type sparse struct {
	*os.File
	mirror *Mirror
	file   int
}

// Stat is that of the manifest: on disk the file has another name.
func (s *sparse) Stat() (fs.FileInfo, error) { return s.mirror.info(s.file), nil }

// Present is nil if the bytes from lo up to hi are there.
func (s *sparse) Present(lo, hi int64) error { return s.mirror.present(s.file, lo, hi) }

// Mappable is the file on disk.
func (s *sparse) Mappable() *os.File { return s.File }

// Stat tells of a file or directory without opening it, whether any of it is there or not.
func (v *Mirror) Stat(name string) (fs.FileInfo, error) {
	if i := v.find(name); i >= 0 {
		return v.info(i), nil
	}
	if fs.ValidPath(name) && v.entries(name) != nil {
		return info{name: path.Base(name), mode: fs.ModeDir | 0o500}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists a directory: all files of the model directory, whether any of them is there or not.
func (v *Mirror) ReadDir(name string) ([]fs.DirEntry, error) {
	if fs.ValidPath(name) {
		if list := v.entries(name); list != nil {
			return list, nil
		}
	}
	return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
}

// entries are those of a directory, by name; nil: there is no such directory.
func (v *Mirror) entries(dir string) (list []fs.DirEntry) {
	prefix := dir + "/"
	if dir == "." {
		prefix, list = "", []fs.DirEntry{}
	}
	seen := map[string]bool{}
	for i, f := range v.man.Files {
		rest, ok := strings.CutPrefix(f.Name, prefix)
		if !ok {
			continue
		}
		if sub, _, deeper := strings.Cut(rest, "/"); !deeper {
			list = append(list, fs.FileInfoToDirEntry(v.info(i)))
		} else if !seen[sub] {
			seen[sub] = true
			list = append(list, fs.FileInfoToDirEntry(info{name: sub, mode: fs.ModeDir | 0o500}))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

func (v *Mirror) info(i int) info {
	f := &v.man.Files[i]
	return info{name: path.Base(f.Name), size: f.Size, mode: 0o400}
}

// info is what is known of a file.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// directory is an open directory of a mirror.
type directory struct {
	name    string
	entries []fs.DirEntry
	at      int
}

func (d *directory) Stat() (fs.FileInfo, error) {
	return info{name: path.Base(d.name), mode: fs.ModeDir | 0o500}, nil
}

func (d *directory) Close() error { return nil }

func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir lists up to n entries, all if n is not above 0.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	left := d.entries[d.at:]
	if n > 0 && len(left) == 0 {
		return nil, io.EOF
	}
	if n > 0 && n < len(left) {
		left = left[:n]
	}
	d.at += len(left)
	return slices.Clone(left), nil
}
