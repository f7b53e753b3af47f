package ckpt

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestThrough: a part is read with its pages, which may be given back and come again; those that have vanished are an
// error, and an error of use is handed on.
func TestThrough(t *testing.T) {
	for name, dir := range map[string]string{fileName(2): copyGolden(t), PackedName: packGolden(t)} {
		c, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		part := c.Tensors[2].Data
		if c.Packed() {
			part = c.Tensors[2].Panels[3]
		}
		sum := func() (n int) {
			for _, b := range part {
				n += int(b)
			}
			return n
		}
		want, got := sum(), 0
		for range 2 {
			if err := c.Through(2, part, func() error { got = sum(); return nil }); err != nil || got != want {
				t.Errorf("%s: %v, sum %d, want %d", name, err, got, want)
			}
		}
		if err := c.Through(2, part, func() error { return io.EOF }); err != io.EOF {
			t.Errorf("%s: %v, want the error of use", name, err)
		}
		if err := os.Truncate(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
		wantError(t, c.Through(2, part, func() error { sum(); return nil }), name, "its pages could not be read")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
