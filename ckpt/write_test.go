package ckpt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"troupe/tensor"
)

// TestWriteLikeCPython compares with what CPython's own pickle module writes (testdata/cpython.py).
func TestWriteLikeCPython(t *testing.T) {
	table, err := os.ReadFile("testdata/cpython.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		var dtype, dims, hash string
		var groups int
		var size int64
		if _, err := fmt.Sscan(line, &dtype, &dims, &groups, &size, &hash); err != nil {
			t.Fatal(err)
		}
		spec := tensor.Spec{DType: map[string]tensor.DType{"f4": tensor.F32, "i1": tensor.I8}[dtype], Shape: parseShape(t, dims)}
		t.Run(fmt.Sprintf("%v/%d", spec, groups), func(t *testing.T) {
			pieces, err := layout(spec, groups, 0)
			if err != nil {
				t.Fatal(err)
			}
			var b []byte
			for _, p := range pieces {
				b = append(append(b, p.text...), patternBytes(p.size)...)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != hash || int64(len(b)) != size {
				t.Errorf("%d bytes with SHA-256 %s, CPython makes %d with %s", len(b), got, size, hash)
			}
			h, err := readHeader(bytes.NewReader(b), size)
			if err != nil || !h.Weight.Equal(spec) || h.Groups != groups {
				t.Errorf("read back as %+v, %v", h, err)
			}
		})
	}
}

// TestPublishedSizes: the eight file sizes of the Grok-1 release.
func TestPublishedSizes(t *testing.T) {
	for _, c := range []struct {
		name  string
		dtype tensor.DType
		shape tensor.Shape
		group int
		size  int64
	}{
		{"embedding", tensor.F32, tensor.Shape{131072, 6144}, 0, 3_221_225_637},
		{"norm", tensor.F32, tensor.Shape{6144}, 0, 24_727},
		{"router", tensor.F32, tensor.Shape{6144, 8}, 0, 196_770},
		{"gate and up", tensor.I8, tensor.Shape{8, 6144, 32768}, 1, 1_611_137_347},
		{"down", tensor.I8, tensor.Shape{8, 32768, 6144}, 8, 1_611_399_491},
		{"query", tensor.I8, tensor.Shape{6144, 6144}, 1, 37_761_334},
		{"attention output", tensor.I8, tensor.Shape{6144, 6144}, 8, 37_847_359},
		{"key and value", tensor.I8, tensor.Shape{6144, 1024}, 1, 6_293_814},
	} {
		got, err := FileSize(tensor.Spec{DType: c.dtype, Shape: c.shape}, c.group)
		if err != nil || got != c.size {
			t.Errorf("%s: %d bytes (%v), the release has %d", c.name, got, err, c.size)
		}
	}
}

func TestFileSizeRefuses(t *testing.T) {
	for _, c := range []struct {
		spec   tensor.Spec
		groups int
		says   string
	}{
		{tensor.Spec{DType: tensor.F32}, 0, "0 dimensions"},
		{tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{2, 0}}, 0, "dimension 0"},
		{tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{-2}}, 0, "negative"},
		{tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{1 << 32}}, 0, "dimension 4294967296"},
		{tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{1, 1, 1, 1}}, 0, "4 dimensions"},
		{tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{4, 4}}, 1, "want float32 with 0"},
		{tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{4, 4}}, 0, "or int8 with 1 or more"},
		{tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{4}}, 1, "a vector cannot be quantised"},
		{tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{4, 4}}, 3, "a divisor of its 4 rows"},
		{tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{4, 4}}, -1, "a divisor"},
		{tensor.Spec{DType: tensor.BF16, Shape: tensor.Shape{4, 4}}, 0, "want float32"},
	} {
		if _, err := FileSize(c.spec, c.groups); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v with %d groups: %v, want an error that says %q", c.spec, c.groups, err, c.says)
		}
	}
}

// TestRewriteGolden reads the golden checkpoint and writes the same files.
func TestRewriteGolden(t *testing.T) {
	c, err := Open(t.Context(), os.DirFS(goldenDir), goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := filepath.Join(t.TempDir(), "new", "model")
	last := int64(-1)
	err = Write(t.Context(), dir, sourcesOf(c), Options{Progress: func(done, total int64) {
		if done < last || done > total || total != c.Bytes() {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != c.Bytes() {
		t.Errorf("progress ended at %d of %d", last, c.Bytes())
	}
	for i := range c.Tensors {
		want, err := os.ReadFile(tensorPath(goldenDir, i))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(tensorPath(dir, i))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v)", fileName(i), err)
		}
	}
}

// emptyDir checks that a failed Write left nothing.
func emptyDir(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestWriteFails(t *testing.T) {
	bad := func(payload func(w io.Writer) error) []Source {
		s := plain("bad", 4)
		s.Payload = payload
		return []Source{plain("good", 4), s}
	}
	for _, c := range []struct {
		name    string
		sources []Source
		file    string
		says    string
		is      error
	}{
		{"too few bytes", bad(writeAll(make([]byte, 15))), fileName(1), "wrote 15 bytes of an array of 16", nil},
		{"too many bytes", bad(writeAll(make([]byte, 17))), fileName(1), "wrote 1 bytes too many", nil},
		{"disk full", bad(func(io.Writer) error {
			return &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
		}), fileName(1), "bad: no space left on device: the disk is full", syscall.ENOSPC},
		{"impossible", []Source{plain("good", 4), {Name: "bad"}}, fileName(1), "bad: invalid[]: 0 dimensions", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			err := Write(t.Context(), filepath.Join(parent, "model"), c.sources, Options{})
			wantError(t, err, c.file, c.says)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			emptyDir(t, parent)
		})
	}
}

// TestWriteNeedsRoom: a checkpoint that cannot fit is refused before anything is written.
func TestWriteNeedsRoom(t *testing.T) {
	dir := t.TempDir()
	if _, known := freeBytes(dir); !known {
		t.Skip("free space is not asked on this system")
	}
	spec := tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{1 << 30, 1 << 30}}
	err := Write(t.Context(), dir, []Source{{Name: "huge", Spec: spec, Payload: func(io.Writer) error {
		t.Error("written")
		return nil
	}}}, Options{})
	wantError(t, err, dirName, "needs 4611686018427388")
	emptyDir(t, dir)
}

func TestWriteTargets(t *testing.T) {
	dir := copyGolden(t)
	err := Write(t.Context(), dir, []Source{plain("x", 1)}, Options{})
	wantError(t, err, dirName, "already exists: remove it")
	if _, err := os.Stat(tensorPath(dir, 13)); err != nil {
		t.Error("the checkpoint that was there is touched:", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, Write(t.Context(), file, []Source{plain("x", 1)}, Options{}), dirName, "not a directory")
	if err := Write(t.Context(), t.TempDir(), nil, Options{}); err == nil {
		t.Error("a checkpoint of no tensors was written")
	}
	if os.Geteuid() == 0 {
		t.Skip("nothing is denied to root")
	}
	locked := t.TempDir()
	if err := os.Chmod(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	wantError(t, Write(t.Context(), locked, []Source{plain("x", 1)}, Options{}), dirName, "permission denied")
}

func TestWriteCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := plain("slow", 4)
	s.Payload = func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 8)); err != nil {
			return err
		}
		cancel()
		_, err := w.Write(make([]byte, 8))
		return err
	}
	dir := t.TempDir()
	err := Write(ctx, dir, []Source{s, plain("x", 1)}, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	emptyDir(t, dir)
}
