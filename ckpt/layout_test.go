package ckpt

import (
	"bytes"
	"os"
	"testing"
)

// TestLayouts: the extents of a tensor, put together, are its arrays as Open has them.
func TestLayouts(t *testing.T) {
	model := os.DirFS(goldenDir)
	wants := goldenWants()
	c, err := Open(t.Context(), model, wants, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	layouts, err := Layouts(t.Context(), model, wants, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(layouts) != len(wants) {
		t.Fatalf("%d files, want %d", len(layouts), len(wants))
	}
	for i, l := range layouts {
		raw, err := os.ReadFile(tensorPath(goldenDir, i))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		end := int64(0)
		for k, x := range l.Extents {
			if x.Tensor != i || x.Offset < end || len(wants[i].Shape) < 3 != (x.Expert < 0) {
				t.Fatalf("%s: extent %d: %+v after byte %d", l.File, k, x, end)
			}
			end = x.Offset + x.Bytes
			got = append(got, raw[x.Offset:end]...)
		}
		tensor := c.Tensors[i]
		if want := append(bytes.Clone(tensor.Data), tensor.Scales...); !bytes.Equal(got, want) || l.Bytes != int64(len(raw)) {
			t.Errorf("%s: extents have %d bytes of a file of %d, want the tensor's %d of %d", l.File, len(got), l.Bytes, len(want), len(raw))
		}
	}
	if _, err := Layouts(t.Context(), os.DirFS(t.TempDir()), wants, Options{}); err == nil {
		t.Error("an empty directory has a layout")
	}
}
