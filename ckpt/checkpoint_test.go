package ckpt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"troupe/tensor"
)

// onlyReader hides all methods of a file but those of fs.File, as some file systems have no others.
type onlyReader struct{ fs.FS }

func (o onlyReader) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if dir, ok := f.(fs.ReadDirFile); ok && err == nil {
		if info, _ := f.Stat(); info != nil && info.IsDir() {
			return dir, nil
		}
	}
	return struct{ fs.File }{f}, err
}

func TestOpen(t *testing.T) {
	for name, model := range map[string]fs.FS{
		"mapped":    os.DirFS(goldenDir),
		"read at":   memoryFS(t),
		"read only": onlyReader{os.DirFS(goldenDir)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prefault := range []bool{false, true} {
				last, calls := int64(-1), 0
				c, err := Open(t.Context(), model, goldenWants(), Options{Prefault: prefault, Progress: func(done, total int64) {
					if done < last || done > total {
						t.Errorf("progress %d of %d after %d", done, total, last)
					}
					last, calls = done, calls+1
				}})
				if err != nil {
					t.Fatal(err)
				}
				if last != c.Bytes() || calls != 14 {
					t.Errorf("progress ended at %d of %d after %d calls", last, c.Bytes(), calls)
				}
				checkGolden(t, c)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error("closed twice:", err)
				}
			}
		})
	}
}

// checkGolden compares with the bytes that testdata's files have at known offsets.
func checkGolden(t *testing.T, c *Checkpoint) {
	t.Helper()
	down := c.Tensors[3]
	if down.Name != "transformer/decoder_layer_0/moe/linear_1/w" || down.File != "ckpt-0/tensor00003_000" || down.Bytes != 45870 ||
		!down.Weight.Equal(tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{8, 176, 32}}) || down.Groups != 1 {
		t.Errorf("down is %+v", Tensor{Name: down.Name, File: down.File, Weight: down.Weight, Groups: down.Groups, Bytes: down.Bytes})
	}
	file, err := os.ReadFile(tensorPath(goldenDir, 3))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(down.Data, file[199:45255]) || !bytes.Equal(down.Scales, file[45351:45863]) {
		t.Error("down has other bytes than its file")
	}
	norm := c.Tensors[1]
	if f, _ := tensor.Float32s(norm.Data); norm.Groups != 0 || norm.Scales != nil || len(f) != 32 || f[0] != math.Float32frombits(0x40edbab0) {
		t.Errorf("final norm is %+v", norm)
	}
}

func memoryFS(t *testing.T) fstest.MapFS {
	t.Helper()
	model := fstest.MapFS{}
	for i := range goldenWants() {
		b, err := os.ReadFile(tensorPath(goldenDir, i))
		if err != nil {
			t.Fatal(err)
		}
		model[fileName(i)] = &fstest.MapFile{Data: b}
	}
	return model
}

func TestOpenRefusesOtherModels(t *testing.T) {
	change := func(i int, f func(w *Want)) []Want {
		wants := goldenWants()
		f(&wants[i])
		return wants
	}
	for _, c := range []struct {
		name  string
		wants []Want
		file  string
		says  string
	}{
		{"width", change(3, func(w *Want) { w.Shape = tensor.Shape{8, 88, 32} }), fileName(3), "moe/linear_1/w: shape [8 176 32], want [8 88 32]: use the config"},
		{"groups", change(3, func(w *Want) { w.Groups = []int{2, 8} }), fileName(3), "int8 with 1 scale group, want plain float32 or int8 with 2 or 8 scale groups"},
		{"plain", change(2, func(w *Want) { w.Groups = nil }), fileName(2), "want plain float32 of shape [8 32 176]"},
		{"quantised", change(13, func(w *Want) { w.Plain, w.Groups = false, []int{1} }), fileName(13), "plain float32, want int8 with 1 scale group"},
		{"class", change(13, func(w *Want) { w.Class = "moe/linear" }), fileName(13), "want int8 with 1 scale group as ckpt-0/tensor00002_000 has"},
		{"fewer", goldenWants()[:13], fileName(13), "has 13 tensors, the last is tensor00012_000"},
		{"more", append(goldenWants(), goldenWants()[1]), fileName(14), "missing file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), os.DirFS(goldenDir), c.wants, Options{})
			wantError(t, err, c.file, c.says)
		})
	}
}

// TestOpenReportsFirst: of several bad files the first in file order is told, whatever the workers' order.
func TestOpenReportsFirst(t *testing.T) {
	dir := copyGolden(t)
	for _, i := range []int{11, 4, 9} {
		edit(t, tensorPath(dir, i), func(b []byte) []byte { return b[:len(b)-1] })
	}
	for _, parallel := range []int{1, 8} {
		_, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{Parallel: parallel})
		if e := wantError(t, err, fileName(4), "truncated"); e.More != 2 || !strings.Contains(err.Error(), "(2 more files failed)") {
			t.Errorf("%v: More is %d, want 2", err, e.More)
		}
	}
}

func TestOpenScaleValues(t *testing.T) {
	const first, at, weight = 2336, 2342, 200 // of the query matrix: its first scale, scale [0 3], weight [0 3]
	zeroColumn := func(b []byte) []byte {
		for r := range 32 {
			b[weight+64*r] = 0
		}
		b[at], b[at+1] = 0, 0
		return b
	}
	for _, c := range []struct {
		name string
		edit func(b []byte) []byte
		says string // "": accepted
	}{
		{"negative", func(b []byte) []byte { b[at+1] |= 0x80; return b }, "scale [0 3] is -0.01"},
		{"zero", func(b []byte) []byte { b[at], b[at+1] = 0, 0; return b }, "scale [0 3] is 0, but weight ["},
		{"minus zero", func(b []byte) []byte { b[at], b[at+1] = 0, 0x80; return b }, "scale [0 3] is 0, but weight ["},
		{"all zero", func(b []byte) []byte { clear(b[first : first+128]); return b }, "all 64 scales are 0"},
		{"unused column", zeroColumn, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyGolden(t)
			edit(t, tensorPath(dir, 7), c.edit)
			ck, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
			if c.says != "" {
				wantError(t, err, fileName(7), c.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ck.Close()
		})
	}
}

// TestZeroScaleGroups puts a zero scale into the second group of the second expert.
func TestZeroScaleGroups(t *testing.T) {
	tn := Tensor{Weight: tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{2, 4, 3}}, Groups: 2, Data: make([]byte, 24)}
	for range 12 {
		tn.Scales = append(tn.Scales, 0x80, 0x3f)
	}
	const scale = (1*2+1)*3 + 2 // [1 1 2]
	tn.Scales[2*scale], tn.Scales[2*scale+1] = 0, 0
	if err := checkScales(&tn); err != nil {
		t.Error("all weights are 0:", err)
	}
	for row := range 8 { // rows of both experts; the group has the last two
		clear(tn.Data)
		tn.Data[row*3+2] = 0xff
		if err := checkScales(&tn); (err != nil) != (row >= 6) {
			t.Errorf("weight in row %d: %v", row, err)
		} else if row == 7 && !strings.Contains(err.Error(), "scale [1 1 2] is 0, but weight [1 3 2] under it is -1") {
			t.Error(err)
		}
	}
}

func TestCheckFinite(t *testing.T) {
	const n = 3001
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for at := range n {
			b := make([]byte, 4*n)
			for i := range n {
				binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(-math.MaxFloat32))
			}
			if at == 0 {
				if err := checkFinite(b, 0); err != nil {
					t.Fatal(err)
				}
			}
			if at > 5 && at < n-5 && at%97 != 0 {
				continue
			}
			binary.LittleEndian.PutUint32(b[4*at:], math.Float32bits(bad))
			if err := checkFinite(b, 0); err == nil {
				t.Errorf("%v at %d was not found", bad, at)
			}
		}
	}
}

// TestPrefaultChecksLargeArrays: values of arrays above smallArray are looked at only with Prefault.
func TestPrefaultChecksLargeArrays(t *testing.T) {
	const elems = smallArray/4 + 3001000
	big := Source{Name: "big", Spec: tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{elems}}} // a hole
	dir := t.TempDir()
	if err := Write(t.Context(), dir, []Source{big, plain("small", 3)}, Options{}); err != nil {
		t.Fatal(err)
	}
	headers, err := Scan(t.Context(), os.DirFS(dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(tensorPath(dir, 0), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0, 0, 0x80, 0x7f}, headers[0].Offset+4*(elems-1)); err != nil {
		t.Fatal(err)
	}
	wants := wantsOf([]Source{big, plain("small", 3)})
	c, err := Open(t.Context(), os.DirFS(dir), wants, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = Open(t.Context(), os.DirFS(dir), wants, Options{Prefault: true})
	wantError(t, err, fileName(0), fmt.Sprintf("value %d is +Inf", elems-1))
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Open(ctx, os.DirFS(goldenDir), goldenWants(), Options{Parallel: 1, Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "ckpt: check the values: stopped") {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// denied refuses one file, as a missing right does; the tests may run as root, whom nothing is denied.
type denied struct {
	fs.FS
	name string
	err  error
}

func (d denied) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: d.err}
	}
	return d.FS.Open(name)
}

func TestOpenUnreadable(t *testing.T) {
	golden := os.DirFS(goldenDir)
	for _, c := range []struct {
		name, file string
		err        error
		says       string
	}{
		{"permission", fileName(5), syscall.EACCES, "permission denied: give this user the right"},
		{"bad disk", fileName(6), syscall.EIO, "could not be read or written"},
		{"directory", dirName, syscall.EACCES, "permission denied: give this user the right"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), denied{golden, c.file, c.err}, goldenWants(), Options{})
			wantError(t, err, c.file, c.says)
			if !errors.Is(err, c.err) {
				t.Errorf("%v is not %v", err, c.err)
			}
		})
	}
}

func TestOpenNoCheckpoint(t *testing.T) {
	empty := t.TempDir()
	if err := os.Mkdir(empty+"/ckpt-0", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, says string }{
		{"no ckpt-0", t.TempDir(), "give the directory that holds ckpt-0"},
		{"inside ckpt-0", goldenDir + "/ckpt-0", "give the directory above it"},
		{"empty", empty, "download the checkpoint into it"},
	} {
		_, err := Open(t.Context(), os.DirFS(c.dir), goldenWants(), Options{})
		wantError(t, err, "ckpt-0", c.says)
		_, err = Scan(t.Context(), os.DirFS(c.dir), Options{})
		wantError(t, err, "ckpt-0", c.says)
	}
}

func TestOpenStrangeFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error // in place of file 5, removed before
		says string
	}{
		{"directory", func(p string) error { return os.Mkdir(p, 0o755) }, "a directory stands where"},
		{"link circle", func(p string) error { return os.Symlink("tensor00005_000", p) }, "symbolic links form a circle"},
		{"dangling link", func(p string) error { return os.Symlink("nowhere", p) }, "a link to a file that is not there"},
		{"link to a directory", func(p string) error { return os.Symlink(".", p) }, "a directory stands where"},
		{"zeros", func(p string) error { return os.WriteFile(p, make([]byte, 2471), 0o644) }, "the download is not finished"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyGolden(t)
			path := tensorPath(dir, 5)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := c.make(path); err != nil {
				t.Skip("this system cannot make it:", err)
			}
			_, err := Scan(t.Context(), os.DirFS(dir), Options{})
			wantError(t, err, fileName(5), c.says)
			_, err = Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
			wantError(t, err, fileName(5), c.says)
		})
	}
}

// TestOtherNames: what looks like a tensor is refused, what does not is ignored aloud.
func TestOtherNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		extra bool
	}{
		{"tensor00013_000.part", true}, {"tensor000013_000", true}, {"tensor13_000", true}, {"tensor-0001_000", true}, {"tensor00014_001", true},
		{"README", false}, {".cache", false}, {"00013_000", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyGolden(t)
			if err := os.WriteFile(dir+"/ckpt-0/"+c.name, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			ck, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if c.extra {
				wantError(t, err, "ckpt-0/"+c.name, "extra file")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ck.Close()
			if !strings.Contains(log.String(), "ignored: not a tensor's file\" file=ckpt-0/"+c.name) {
				t.Errorf("log %q does not say so", log.String())
			}
		})
	}
}

// TestLinkedFile: download caches keep files elsewhere and link to them.
func TestLinkedFile(t *testing.T) {
	dir := copyGolden(t)
	blob := dir + "/blob"
	if err := os.Rename(tensorPath(dir, 5), blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../blob", tensorPath(dir, 5)); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	c, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestScan(t *testing.T) {
	headers, err := Scan(t.Context(), os.DirFS(goldenDir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(headers) != 14 {
		t.Fatalf("%d headers, want 14", len(headers))
	}
	down := headers[3]
	want := Header{File: fileName(3), Bytes: 45870, Groups: 1, Offset: 199, ScalesOffset: 45351,
		Weight: tensor.Spec{DType: tensor.I8, Shape: tensor.Shape{8, 176, 32}}, Scales: tensor.Spec{DType: tensor.BF16, Shape: tensor.Shape{8, 1, 32}}}
	if down.File != want.File || down.Bytes != want.Bytes || down.Groups != want.Groups || down.Offset != want.Offset ||
		down.ScalesOffset != want.ScalesOffset || !down.Weight.Equal(want.Weight) || !down.Scales.Equal(want.Scales) {
		t.Errorf("header %+v, want %+v", down, want)
	}
	if !down.Quantised() || headers[0].Quantised() {
		t.Error("kinds are wrong")
	}
}
