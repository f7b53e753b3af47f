package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"troupe/ckpt"
)

// sample is a directory of made-up arrays: a tensor without experts, one of four experts of 1.5 MB each, a small one,
// and something in the place of a configuration.
type sample struct {
	dir  string
	man  *Manifest
	file map[string][]byte
}

const mib = 1 << 20

// newSample makes a directory whose bytes depend on the seed.
func newSample(t testing.TB, seed uint64) *sample { return newSampleOf(t, seed, sampleLayouts()) }

func newSampleOf(t testing.TB, seed uint64, layouts []ckpt.Layout) *sample {
	t.Helper()
	s := &sample{dir: t.TempDir(), file: map[string][]byte{}}
	r := rand.NewChaCha8([32]byte{byte(seed)})
	put := func(name string, size int) {
		b := make([]byte, size)
		_, _ = r.Read(b)
		s.file[name] = b
		path := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range layouts {
		put(l.File, int(l.Bytes))
	}
	put("config.json", 30)
	m, err := Describe(t.Context(), os.DirFS(s.dir), []Tensor{{"embed", -1}, {"experts", 0}, {"norm", 1}}, layouts)
	if err != nil {
		t.Fatal(err)
	}
	s.man = m
	return s
}

func sampleLayouts() []ckpt.Layout {
	experts := ckpt.Layout{File: "ckpt-0/tensor00001_000", Bytes: 100 + 6_000_000 + 77}
	for e := range 4 {
		experts.Extents = append(experts.Extents, ckpt.Extent{Tensor: 1, Expert: e, Offset: int64(100 + e*1_500_000), Bytes: 1_500_000})
	}
	return []ckpt.Layout{
		{File: "ckpt-0/tensor00000_000", Bytes: 2*mib + 105, Extents: []ckpt.Extent{{Tensor: 0, Expert: -1, Offset: 100, Bytes: 2 * mib}}},
		experts,
		{File: "ckpt-0/tensor00002_000", Bytes: 300, Extents: []ckpt.Extent{{Tensor: 2, Expert: -1, Offset: 100, Bytes: 150}}},
	}
}

func (s *sample) source() *counted { return &counted{Source: NewDirectory(os.DirFS(s.dir), s.man)} }

// counted counts the pieces that are read, and can be told to do something else.
type counted struct {
	Source
	reads atomic.Int64
	read  func(n int64, data []byte, sum *[32]byte) error // n from 1
}

func (c *counted) Read(ctx context.Context, file int, offset int64, n int) ([]byte, [32]byte, error) {
	data, sum, err := c.Source.Read(ctx, file, offset, n)
	count := c.reads.Add(1)
	if err == nil && c.read != nil {
		err = c.read(count, data, &sum)
	}
	return data, sum, err
}

func everything(string, int, int) bool { return true }

// oneExpert wants expert 2 and the norm.
func oneExpert(tensor string, layer, expert int) bool {
	return tensor == "experts" && expert == 2 || tensor == "norm" && layer == 1
}

func mustOpen(t testing.TB, opt Options, m *Manifest) *Mirror {
	t.Helper()
	v, err := Open(t.Context(), opt, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func mustFetch(t testing.TB, v *Mirror, from Source, want func(string, int, int) bool) {
	t.Helper()
	if err := v.Fetch(t.Context(), from, want, 3, nil); err != nil {
		t.Fatal(err)
	}
}

// compare holds what is wanted of a mirror against the directory, and demands that what is not there is refused.
func (s *sample) compare(v *Mirror, want func(string, int, int) bool) error {
	for _, f := range s.man.Files {
		any := len(f.Extents) == 0
		for _, x := range f.Extents {
			t := s.man.Tensors[x[0]]
			any = any || want(t.Name, t.Layer, int(x[1]))
		}
		if !any {
			continue
		}
		file, err := v.Open(f.Name)
		if err != nil {
			return err
		}
		defer file.Close()
		here := file.(ckpt.Sparse)
		same := func(lo, hi int64) error {
			if err := here.Present(lo, hi); err != nil { // before it is read: others may be fetching
				return err
			}
			got := make([]byte, hi-lo)
			if _, err := here.ReadAt(got, lo); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !bytes.Equal(got, s.file[f.Name][lo:hi]) {
				return fmt.Errorf("%s: bytes %d to %d differ", f.Name, lo, hi)
			}
			return nil
		}
		for lo, hi := range f.frame() {
			if err := same(lo, hi); err != nil {
				return err
			}
		}
		for _, x := range f.Extents {
			t := s.man.Tensors[x[0]]
			err := same(x[2], x[2]+x[3])
			if want(t.Name, t.Layer, int(x[1])) && err != nil {
				return err
			}
			// What is not wanted lies in pieces that are there with something else, or is refused.
			if err != nil && !errors.Is(err, ErrMissing) {
				return err
			}
		}
	}
	return nil
}

// sumOf is the SHA-256 of a piece of a file.
func (s *sample) sumOf(file, piece int) [32]byte {
	f := &s.man.Files[file]
	offset, n := f.piece(piece)
	return sha256.Sum256(s.file[f.Name][offset : offset+int64(n)])
}
