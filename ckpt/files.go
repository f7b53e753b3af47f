package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
)

// dirName is the directory of the tensors inside a model directory.
const dirName = "ckpt-0"

// maxFiles is what five digits number: 8,333 layers of 12 tensors.
const maxFiles = 100_000

// fileName is the path of tensor i, below the model directory.
func fileName(i int) string { return fmt.Sprintf("%s/tensor%05d_000", dirName, i) }

// listing is what ckpt-0 holds: files by tensor index, and files that belong to no index.
type listing struct {
	files []fileInfo
	extra []*Error
}

type fileInfo struct {
	found bool
	size  int64 // bytes
	err   error // found, but not a file that can be read
}

// list reads the directory and looks at each file's kind and size, opening none.
func list(model fs.FS, log *slog.Logger) (*listing, error) {
	entries, err := fs.ReadDir(model, dirName)
	if err != nil {
		return nil, &Error{File: dirName, Err: noDirectory(model, err)}
	}
	l := &listing{}
	for _, e := range entries {
		name := path.Join(dirName, e.Name())
		index, host, ok := parseName(e.Name())
		switch {
		case !ok && strings.HasPrefix(e.Name(), "tensor"):
			l.extra = append(l.extra, &Error{File: name, Err: errors.New("extra file: tensors are named tensor00000_000 and so on: remove it, or finish its download")})
		case !ok:
			log.Warn("ignored: not a tensor's file", "file", name)
		case host != 0:
			l.extra = append(l.extra, &Error{File: name, Err: fmt.Errorf("extra file: it belongs to host %d of a checkpoint split over hosts, want host 0 alone (_000): remove it, or use the unsplit checkpoint", host)})
		default:
			if index >= len(l.files) {
				l.files = append(l.files, make([]fileInfo, index+1-len(l.files))...)
			}
			size, err := regularSize(model, name)
			l.files[index] = fileInfo{true, size, err}
		}
	}
	if len(l.files) == 0 && len(l.extra) == 0 {
		return nil, &Error{File: dirName, Err: errors.New("no tensor00000_000 and so on inside: download the checkpoint into it")}
	}
	return l, nil
}

// expect compares the listing with the number of tensors wanted and returns the errors of all files that
// are missing, unreadable or one too many, in file order.
func (l *listing) expect(n int, tensor func(i int) string) []*Error {
	bad := slices.Clone(l.extra)
	for i := range max(n, len(l.files)) {
		var f fileInfo
		if i < len(l.files) {
			f = l.files[i]
		}
		switch {
		case i >= n && f.found:
			bad = append(bad, &Error{File: fileName(i), Err: fmt.Errorf("extra file: the configuration has %d tensors, the last is %s: use the config that came with this checkpoint, or remove the file", n, path.Base(fileName(n-1)))})
		case i < n && !f.found:
			bad = append(bad, &Error{File: fileName(i), Tensor: tensor(i), Err: fmt.Errorf("missing file: %w: download or copy it again", fs.ErrNotExist)})
		case i < n && f.err != nil:
			bad = append(bad, &Error{File: fileName(i), Tensor: tensor(i), Err: f.err})
		}
	}
	slices.SortFunc(bad, func(a, b *Error) int { return strings.Compare(a.File, b.File) })
	return bad
}

// spare says that file i is not needed: whether it is there or not is all the same.
func (l *listing) spare(i int) {
	if i >= len(l.files) {
		l.files = append(l.files, make([]fileInfo, i+1-len(l.files))...)
	}
	l.files[i] = fileInfo{found: true}
}

// bytes is the sum of the files' sizes.
func (l *listing) bytes() (sum int64) {
	for _, f := range l.files {
		sum += f.size
	}
	return sum
}

// parseName takes "tensor00042_000" apart; ok is false for any other form.
func parseName(name string) (index, host int, ok bool) {
	if _, err := fmt.Sscanf(name, "tensor%5d_%3d", &index, &host); err != nil || index < 0 || host < 0 || index >= maxFiles {
		return 0, 0, false
	}
	return index, host, name == fmt.Sprintf("tensor%05d_%03d", index, host)
}

// regularSize refuses what is no regular file before anything opens it: a pipe would wait for ever.
func regularSize(model fs.FS, name string) (int64, error) {
	info, err := fs.Stat(model, name)
	switch {
	case err != nil:
		return 0, explain(err)
	case info.IsDir():
		return 0, errors.New("a directory stands where a tensor's file belongs: copy the file again")
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("not a regular file (%v): copy the file again", info.Mode().Type())
	}
	return info.Size(), nil
}

// noDirectory says why ckpt-0 could not be listed, and looks for the usual mistake.
func noDirectory(model fs.FS, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	if _, statErr := fs.Stat(model, path.Base(fileName(0))); statErr == nil {
		return fmt.Errorf("%w: this looks like the inside of a ckpt-0 directory: give the directory above it", fs.ErrNotExist)
	}
	return fmt.Errorf("%w: give the directory that holds ckpt-0", fs.ErrNotExist)
}

// collect turns the errors of files, by tensor index, into Errors in file order.
func collect(errs []error, tensor func(i int) string) []*Error {
	return collectIn(errs, fileName, tensor)
}

func collectIn(errs []error, file, tensor func(i int) string) (bad []*Error) {
	for i, err := range errs {
		if err != nil {
			bad = append(bad, &Error{File: file(i), Tensor: tensor(i), Err: err})
		}
	}
	return bad
}

// firstOf is the first error in file order with the count of the others, or nil.
func firstOf(bad []*Error) error {
	if len(bad) == 0 {
		return nil
	}
	first := *bad[0]
	first.More = len(bad) - 1
	return &first
}
