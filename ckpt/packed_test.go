package ckpt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"troupe/kernels"
	"troupe/model"
	"troupe/tensor"
)

// packedArrays lists the arrays of an open checkpoint of pickles, matrices in panels.
func packedArrays(c *Checkpoint) (list []Array) {
	for i := range c.Tensors {
		t := &c.Tensors[i]
		if t.Groups == 0 {
			list = append(list, Array{t.Name, t.Weight, writeAll(t.Data)})
			continue
		}
		list = append(list, Array{ScalesName(t.Name), scalesSpec(t.Weight.Shape, t.Groups), writeAll(t.Scales)})
		n := len(t.Weight.Shape)
		in, out := t.Weight.Shape[n-2], t.Weight.Shape[n-1]
		for e := range experts(t.Weight.Shape) {
			q := make([]int8, kernels.PanelSize(in, out, t.Groups))
			kernels.PackPanels(q, tensor.Int8s(t.Data[e*in*out:(e+1)*in*out]), in, out, t.Groups, 0, kernels.NumPanels(out))
			b := make([]byte, len(q))
			for i, v := range q {
				b[i] = byte(v)
			}
			list = append(list, Array{matrixName(t.Name, t.Weight.Shape, e), tensor.Spec{DType: tensor.I8, Shape: PanelShape(in, out, t.Groups)}, writeAll(b)})
		}
	}
	return list
}

// packGolden writes the golden checkpoint as a packed file into a new directory.
func packGolden(t testing.TB) string {
	t.Helper()
	c, err := Open(t.Context(), os.DirFS(goldenDir), goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := filepath.Join(t.TempDir(), "new", "packed")
	last := int64(-1)
	err = WritePacked(t.Context(), dir, packedArrays(c), map[string]string{"source": "a test"}, Options{Progress: func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPanelShape holds the format against what kernels read.
func TestPanelShape(t *testing.T) {
	for _, c := range [][3]int{{1, 1, 1}, {32, 176, 1}, {176, 32, 8}, {18, 33, 2}, {6144, 32768, 1}, {32768, 6144, 8}, {7, 16, 7}} {
		n, err := PanelShape(c[0], c[1], c[2]).Elems()
		if want := kernels.PanelSize(c[0], c[1], c[2]); err != nil || n != int64(want) {
			t.Errorf("%v: %d bytes, kernels want %d", c, n, want)
		}
	}
	if panelOutputs != kernels.PanelOutputs || lineInputs != kernels.LineInputs {
		t.Error("panels of other numbers than kernels read: a new version of the format")
	}
}

// TestOpenPacked compares every value with the pickles', through every kind of file system.
func TestOpenPacked(t *testing.T) {
	want, err := Open(t.Context(), os.DirFS(goldenDir), goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	dir := packGolden(t)
	raw, err := os.ReadFile(filepath.Join(dir, PackedName))
	if err != nil {
		t.Fatal(err)
	}
	for name, model := range map[string]fs.FS{
		"mapped":    os.DirFS(dir),
		"read at":   fstest.MapFS{PackedName: &fstest.MapFile{Data: raw}},
		"read only": onlyReader{os.DirFS(dir)},
	} {
		for _, opt := range []Options{{}, {Prefault: true}, {Prefault: true, SkipInt8: true}} {
			var done, total int64
			opt.Progress = func(d, n int64) { done, total = d, n }
			c, err := Open(t.Context(), model, goldenWants(), opt)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if done != total || total != c.Bytes() || !c.Packed() || c.Meta["source"] != "a test" {
				t.Errorf("%s: progress %d of %d for %d bytes, metadata %v", name, done, total, c.Bytes(), c.Meta)
			}
			for i := range c.Tensors {
				sameTensor(t, &c.Tensors[i], &want.Tensors[i])
			}
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	if damaged, err := Verify(t.Context(), os.DirFS(dir), goldenWants(), Options{}); err != nil || damaged != nil {
		t.Errorf("verified: %v, %v", damaged, err)
	}
}

func sameTensor(t *testing.T, got, want *Tensor) {
	t.Helper()
	if got.Name != want.Name || got.File != PackedName || !got.Weight.Equal(want.Weight) || got.Groups != want.Groups || !bytes.Equal(got.Scales, want.Scales) {
		t.Fatalf("%s: %v with %d groups, want %s: %v with %d", got.Name, got.Weight, got.Groups, want.Name, want.Weight, want.Groups)
	}
	if want.Groups == 0 {
		if !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: other values", got.Name)
		}
		return
	}
	n := len(want.Weight.Shape)
	in, out := want.Weight.Shape[n-2], want.Weight.Shape[n-1]
	for i, v := range want.Data {
		if q := got.value(i/out, i%out, in/want.Groups); q != int8(v) {
			t.Fatalf("%s: value %d is %d, want %d", got.Name, i, q, int8(v))
		}
	}
}

// TestPackedIsSafetensors reads the file as that format's own reader does: a header with nothing unknown, arrays
// without hole or overlap to the end of the file; and looks at the alignment.
func TestPackedIsSafetensors(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(packGolden(t), PackedName))
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(raw)
	header := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil || raw[8] != '{' || (8+n)%4096 != 0 {
		t.Fatalf("header of %d bytes: %v", n, err)
	}
	meta := map[string]string{}
	if err := json.Unmarshal(header["__metadata__"], &meta); err != nil || meta["format"] != "troupe packed" {
		t.Errorf("metadata %v: %v", meta, err)
	}
	delete(header, "__metadata__")
	type info struct {
		DType   string `json:"dtype"`
		Shape   []uint `json:"shape"`
		Offsets []uint `json:"data_offsets"`
	}
	var all []info
	for name, text := range header {
		var x info
		if err := json.Unmarshal(text, &x); err != nil {
			t.Fatal(err)
		}
		size := map[string]uint{"F32": 4, "BF16": 2, "I8": 1, "U8": 1}[x.DType]
		for _, d := range x.Shape {
			size *= d
		}
		if size == 0 || x.Offsets[1]-x.Offsets[0] != size {
			t.Errorf("%s: %+v", name, x)
		}
		if strings.Contains(name, ".panels") && (8+n+uint64(x.Offsets[0]))%4096 != 0 || x.DType != "U8" && x.Offsets[0]%64 != 0 {
			t.Errorf("%s begins at %d", name, x.Offsets[0])
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b info) int { return int(a.Offsets[0]) - int(b.Offsets[0]) })
	at := uint(0)
	for _, x := range all {
		if x.Offsets[0] != at {
			t.Errorf("a hole or an overlap at %d", at)
		}
		at = x.Offsets[1]
	}
	if uint64(at)+8+n != uint64(len(raw)) {
		t.Errorf("arrays end at %d of %d", at, len(raw))
	}
}

// TestVerify finds every array of which one bit is changed, and arrays that have changed their names.
func TestVerify(t *testing.T) {
	dir := packGolden(t)
	path := filepath.Join(dir, PackedName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in := &input{ReaderAt: bytes.NewReader(raw), size: int64(len(raw))}
	p, _, err := findPacked(in, goldenWants())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(b []byte) (names []string) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		damaged, err := Verify(t.Context(), os.DirFS(dir), goldenWants(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range damaged {
			names = append(names, d.Tensor)
			if d.File != PackedName || !strings.Contains(d.Error(), "damaged") {
				t.Error(d)
			}
		}
		return names
	}
	bad, want := slices.Clone(raw), []string(nil)
	for i, e := range p.entries {
		if e.padding() || i%3 != 0 {
			continue
		}
		bad[p.base+e.hi-1] ^= 0x10
		want = append(want, e.name)
	}
	if got := verify(bad); !slices.Equal(got, want) || len(want) < 5 {
		t.Errorf("found %v, want %v", got, want)
	}
	a, b := []byte("moe/linear/w.panels.2\""), []byte("moe/linear/w.panels.3\"")
	swapped := bytes.Replace(bytes.Replace(bytes.Replace(slices.Clone(raw), a, []byte("moe/linear/w.panels.x\""), 1), b, a, 1), []byte("moe/linear/w.panels.x\""), b, 1)
	if got := verify(swapped); len(got) != 2 || !strings.HasSuffix(got[0], "panels.3") {
		t.Errorf("changed names: found %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, os.DirFS(dir), goldenWants(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWritePackedFails(t *testing.T) {
	spec := tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{4}}
	bad := func(name string, spec tensor.Spec, payload func(io.Writer) error) []Array {
		return []Array{{"good", spec, writeAll(make([]byte, 16))}, {name, spec, payload}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		name   string
		arrays []Array
		says   string
	}{
		{"few", bad("bad", spec, writeAll(make([]byte, 15))), "bad: its source wrote 1 bytes too few"},
		{"many", bad("bad", spec, writeAll(make([]byte, 17))), "bad: its source wrote 1 bytes too many"},
		{"source", bad("bad", spec, func(io.Writer) error { return fs.ErrPermission }), "bad: permission denied"},
		{"twice", bad("good", spec, writeAll(make([]byte, 16))), "good: this name is taken"},
		{"reserved", bad("__metadata__", spec, writeAll(make([]byte, 16))), "this name is taken"},
		{"nothing", bad("bad", tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{0}}, nil), "cannot be written"},
		{"none", nil, "no arrays"},
		{"cancelled", bad("bad", spec, func(w io.Writer) error { cancel(); _, err := w.Write(make([]byte, 16)); return err }), "stopped"},
	} {
		parent := t.TempDir()
		err := WritePacked(ctx, filepath.Join(parent, "model"), c.arrays, nil, Options{Parallel: 1})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.says)
		}
		emptyDir(t, parent)
	}
	dir := packGolden(t)
	before, _ := os.ReadFile(filepath.Join(dir, PackedName))
	wantError(t, WritePacked(t.Context(), dir, bad("b", spec, writeAll(make([]byte, 16))), nil, Options{}), PackedName, "already exists")
	if after, _ := os.ReadFile(filepath.Join(dir, PackedName)); !bytes.Equal(before, after) {
		t.Error("the file that was there is touched")
	}
}

// TestPackedHeaderOfGrok1: the header of the largest model is within the limit that its reader sets.
func TestPackedHeaderOfGrok1(t *testing.T) {
	grok1, err := model.FindPreset("grok-1")
	if err != nil {
		t.Fatal(err)
	}
	var wants []Want
	var arrays []Array
	for _, x := range model.Tensors(grok1.Config) {
		wants = append(wants, Want{Name: x.Name, Shape: x.Shape})
		n := len(x.Shape)
		if len(x.Int8) == 0 {
			arrays = append(arrays, Array{Name: x.Name, Spec: tensor.Spec{DType: tensor.F32, Shape: x.Shape}})
			continue
		}
		arrays = append(arrays, Array{Name: ScalesName(x.Name), Spec: scalesSpec(x.Shape, 8)})
		for e := range experts(x.Shape) {
			arrays = append(arrays, Array{Name: matrixName(x.Name, x.Shape, e), Spec: tensor.Spec{DType: tensor.I8, Shape: PanelShape(x.Shape[n-2], x.Shape[n-1], 8)}})
		}
	}
	entries, err := packedLayout(arrays)
	if err != nil {
		t.Fatal(err)
	}
	h, err := packedHeader(entries, nil, strings.Repeat("0", crcDigits*len(arrays)))
	if limit := headerLimit(wants); err != nil || int64(len(h)) > limit || limit > 8<<20 {
		t.Errorf("a header of %d bytes, the limit is %d (%v)", len(h), limit, err)
	}
}
