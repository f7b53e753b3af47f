package ckpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"troupe/tensor"
)

// goldenDir is a model directory that the reference implementation reads: one layer, 32 wide, 4 heads of 16,
// 8 experts of width 176, 128 tokens; seven int8 matrices with one scale row each.
const goldenDir = "testdata/one-layer-g1"

// goldenWants is the list of its tensors, as model makes it from config.json.
func goldenWants() []Want {
	const layer = "transformer/decoder_layer_0/"
	matrix := func(name string, groups []int, shape ...int) Want {
		return Want{Name: layer + name + "/w", Shape: shape, Plain: true, Groups: groups, Class: name}
	}
	norm := func(name string) Want {
		return Want{Name: name + "/scale", Shape: tensor.Shape{32}, Plain: true}
	}
	one, any8 := []int{1}, []int{1, 8}
	return []Want{
		{Name: "language_model/in_out_embed/embeddings", Shape: tensor.Shape{128, 32}, Plain: true},
		norm("language_model/rms_norm"),
		matrix("moe/linear", one, 8, 32, 176),
		matrix("moe/linear_1", any8, 8, 176, 32),
		matrix("moe/linear_v", one, 8, 32, 176),
		matrix("multi_head_attention/key", one, 32, 64),
		matrix("multi_head_attention/linear", any8, 64, 32),
		matrix("multi_head_attention/query", one, 32, 64),
		matrix("multi_head_attention/value", one, 32, 64),
		norm(layer + "rms_norm"), norm(layer + "rms_norm_1"), norm(layer + "rms_norm_2"), norm(layer + "rms_norm_3"),
		{Name: layer + "router/w", Shape: tensor.Shape{32, 8}, Plain: true},
	}
}

// copyGolden makes a copy of the golden model directory that a test may damage.
func copyGolden(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit applies f to the bytes of a file.
func edit(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tensorPath is the file of tensor i in a directory of the operating system.
func tensorPath(dir string, i int) string { return filepath.Join(dir, filepath.FromSlash(fileName(i))) }

// wantError checks that err is an Error about a file and says a word.
func wantError(t *testing.T, err error, file, word string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an Error about %s", err, file)
	}
	if e.File != file || !strings.Contains(err.Error(), word) {
		t.Errorf("error %q, want one about %s that says %q", err, file, word)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of more than one line: %q", err)
	}
	return e
}

// allocated is the number of bytes that f takes from the heap, kept or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// patternBytes is the pattern of testdata/cpython.py.
func patternBytes(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(31*i + 7)
	}
	return b
}

func writeAll(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// plain is a float32 tensor of ones.
func plain(name string, shape ...int) Source {
	spec := tensor.Spec{DType: tensor.F32, Shape: shape}
	n, _ := spec.Shape.Elems()
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(1))
	}
	return Source{Name: name, Spec: spec, Payload: writeAll(b)}
}

// wantsOf is the list of tensors that accepts exactly what was written.
func wantsOf(sources []Source) []Want {
	var wants []Want
	for _, s := range sources {
		w := Want{Name: s.Name, Shape: s.Spec.Shape, Plain: s.Groups == 0}
		if s.Groups > 0 {
			w.Groups = []int{s.Groups}
		}
		wants = append(wants, w)
	}
	return wants
}

// sourcesOf writes an open checkpoint again.
func sourcesOf(c *Checkpoint) []Source {
	var sources []Source
	for _, t := range c.Tensors {
		sources = append(sources, Source{
			Name: t.Name, Spec: t.Weight, Groups: t.Groups, Payload: writeAll(t.Data), Scales: writeAll(t.Scales),
		})
	}
	return sources
}

// parseShape reads "8x64x176".
func parseShape(t *testing.T, text string) (shape tensor.Shape) {
	t.Helper()
	for _, f := range strings.Split(text, "x") {
		var d int
		if _, err := fmt.Sscan(f, &d); err != nil {
			t.Fatal(err)
		}
		shape = append(shape, d)
	}
	return shape
}
