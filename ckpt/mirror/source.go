package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

// Source is who has the directory. Its methods are called from several goroutines.
type Source interface {
	// Manifest is the encoded manifest of what Read reads.
	Manifest(ctx context.Context) ([]byte, error)
	// Read is one piece, from a multiple of PieceBytes on, with the SHA-256 that it has where it comes from. file
	// counts in the manifest, n is the whole piece.
	Read(ctx context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error)
}

// Directory is a source with the files of a model directory.
type Directory struct {
	dir fs.FS
	man *Manifest

	mu    sync.Mutex
	files []served
}

// served is what a directory knows of a file that it has read from.
type served struct {
	seen     bool
	modified time.Time
	sums     map[int][32]byte // of the pieces that were read
}

// NewDirectory serves the directory that Describe has just described.
func NewDirectory(dir fs.FS, m *Manifest) *Directory {
	d := &Directory{dir: dir, man: m, files: make([]served, len(m.Files))}
	for i, f := range m.Files {
		if info, err := fs.Stat(dir, f.Name); err == nil { // else its first read says so
			d.files[i] = served{seen: true, modified: info.ModTime()}
		}
	}
	return d
}

// Manifest is that of the directory.
func (d *Directory) Manifest(context.Context) ([]byte, error) { return d.man.Encode() }

// Read reads a piece. What it is asked for may come from anywhere: anything but a piece of the manifest is refused. A
// file that has changed since it was first read is an error, as a copy would be made of two. Sums are made when a
// piece is first read, and remembered: 40 bytes for each MiB.
func (d *Directory) Read(_ context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error) {
	data = make([]byte, min(max(n, 0), PieceBytes))
	if n != len(data) {
		return nil, sum, fmt.Errorf("mirror: read: %d bytes, want a piece of at most %d", n, PieceBytes)
	}
	if err := d.piece(file, offset, data); err != nil {
		return nil, sum, err
	}
	i := int(offset / PieceBytes)
	d.mu.Lock()
	sum, ok := d.files[file].sums[i]
	d.mu.Unlock()
	if ok {
		return data, sum, nil
	}
	sum = sha256.Sum256(data)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.files[file]
	if s.sums == nil {
		s.sums = map[int][32]byte{}
	}
	s.sums[i] = sum
	return data, sum, nil
}

// piece fills data with a piece of the manifest; anything else is refused.
func (d *Directory) piece(file int, offset int64, data []byte) error {
	if file < 0 || file >= len(d.man.Files) {
		return fmt.Errorf("mirror: read: file %d, want 0 to %d", file, len(d.man.Files)-1)
	}
	f := &d.man.Files[file]
	if offset < 0 || offset%PieceBytes != 0 || offset >= f.Size {
		return fmt.Errorf("mirror: read: %s: byte %d, want a multiple of %d below %d", f.Name, offset, PieceBytes, f.Size)
	}
	if _, want := f.piece(int(offset / PieceBytes)); len(data) != want {
		return fmt.Errorf("mirror: read: %s: %d bytes from byte %d on, want the piece of %d", f.Name, len(data), offset, want)
	}
	if err := d.read(file, offset, data); err != nil {
		return fmt.Errorf("mirror: read: %s: %w", f.Name, err)
	}
	return nil
}

// read fills data from a file that must not have changed.
func (d *Directory) read(file int, offset int64, data []byte) error {
	f := &d.man.Files[file]
	r, err := openAt(d.dir, f.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	modified := r.info.ModTime()
	d.mu.Lock()
	s := &d.files[file]
	if !s.seen {
		s.seen, s.modified = true, modified
	}
	same := s.modified.Equal(modified) && r.size == f.Size
	d.mu.Unlock()
	if !same {
		return errors.New("it has changed since it was described: start this process again")
	}
	if n, err := r.ReadAt(data, offset); n < len(data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("cut short at byte %d", offset+int64(n))
		}
		return plainError(err)
	}
	return nil
}
