//go:build unix

package ckpt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"troupe/tensor"
)

// grok1 is the list of tensors of the released Grok-1, all holes.
func grok1() []Source {
	const width, ffn, heads, experts, vocab = 6144, 32768, 1024, 8, 131072
	norm := Source{Spec: tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{width}}}
	matrix := func(groups int, shape ...int) Source {
		return Source{Spec: tensor.Spec{DType: tensor.I8, Shape: shape}, Groups: groups}
	}
	layer := []Source{
		matrix(1, experts, width, ffn), matrix(8, experts, ffn, width), matrix(1, experts, width, ffn),
		matrix(1, width, heads), matrix(8, width, width), matrix(1, width, width), matrix(1, width, heads),
		norm, norm, norm, norm,
		{Spec: tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{width, experts}}},
	}
	all := []Source{{Spec: tensor.Spec{DType: tensor.F32, Shape: tensor.Shape{vocab, width}}}, norm}
	for n := range 64 {
		for i, s := range layer {
			s.Name = fmt.Sprintf("decoder_layer_%d/%d", n, i)
			all = append(all, s)
		}
	}
	return all
}

// diskBytes is the room that the files of a directory take.
func diskBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, e.Name()), &st); err != nil {
			t.Fatal(err)
		}
		sum += 512 * int64(st.Blocks)
	}
	return sum
}

// needSparse skips where a hole takes room.
func needSparse(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "hole")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 64<<20); err != nil || diskBytes(t, dir) > 1<<20 {
		t.Skip("this file system has no sparse files")
	}
}

// TestSparseGrok1 writes the 770 files of Grok-1 at their true sizes as holes and reads all their headers.
func TestSparseGrok1(t *testing.T) {
	needSparse(t)
	dir := t.TempDir()
	sources := grok1()
	if err := Write(t.Context(), dir, sources, Options{}); err != nil {
		t.Fatal(err)
	}
	if n := diskBytes(t, filepath.Join(dir, dirName)); n > 100e6 {
		t.Errorf("takes %d bytes on disk", n)
	}
	var headers []Header
	var err error
	taken := allocated(func() { headers, err = Scan(t.Context(), os.DirFS(dir), Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	if taken > 64<<20 {
		t.Errorf("took %d bytes of memory", taken)
	}
	sum := int64(0)
	sizes := map[int64]int{}
	for i, h := range headers {
		if !h.Weight.Equal(sources[i].Spec) || h.Groups != sources[i].Groups {
			t.Errorf("%s is %v with %d groups", h.File, h.Weight, h.Groups)
		}
		sum += h.Bytes
		sizes[h.Bytes]++
	}
	if len(headers) != 770 || sum != 318_239_886_140 {
		t.Errorf("%d files, %d bytes, the release has 770 and 318,239,886,140", len(headers), sum)
	}
	want := map[int64]int{3_221_225_637: 1, 24_727: 257, 196_770: 64, 1_611_137_347: 128, 1_611_399_491: 64, 37_761_334: 64, 37_847_359: 64, 6_293_814: 128}
	for size, n := range want {
		if sizes[size] != n {
			t.Errorf("%d files of %d bytes, want %d", sizes[size], size, n)
		}
	}
	// Offsets as found in the release by others.
	if o := []int64{headers[0].Offset, headers[1].Offset, headers[2].Offset, headers[5].Offset}; !slices.Equal(o, []int64{151, 146, 201, 199}) {
		t.Errorf("payloads at %v, want 151, 146, 201, 199", o)
	}

	// It can be compared with a model, but not run.
	_, err = Open(t.Context(), os.DirFS(dir), wantsOf(sources), Options{})
	if e := wantError(t, err, fileName(2), "all 262144 scales are 0: the file is sparse"); e.More != 7*64-1 {
		t.Errorf("%d more files failed, want %d", e.More, 7*64-1)
	}
}
