package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
	"troupe/model"
	"troupe/stages"
	"troupe/surgery"
)

// TestFetchedPart: a part that was fetched through an encoded manifest is bit for bit that of the whole model, from
// pickles and from a packed file; what was not fetched is refused; disk is taken for the part alone.
func TestFetchedPart(t *testing.T) {
	for name, path := range map[string]string{"pickles": diskDemo(t), "packed": packedDemo(t)} {
		t.Run(name, func(t *testing.T) {
			dir := os.DirFS(path)
			whole := open(t, dir)
			man, err := Describe(t.Context(), dir, whole.Config, ckpt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			need := someOfDemo(whole.Config)
			v, err := mirror.Get(t.Context(), mirror.Options{Dir: t.TempDir()}, mirror.NewDirectory(dir, man), need, 4, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			disk, err := v.Allocated()
			if err != nil || disk > man.PartBytes(need)+1<<20 || !whole.Checkpoint.Packed() && disk > man.Bytes()/3 {
				t.Errorf("%d bytes of disk (%v) for a part of %d of %d", disk, err, man.PartBytes(need), man.Bytes())
			}
			c, err := Config(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, opt := range []ckpt.Options{{}, {Prefault: true}, {Prefault: true, SkipInt8: true}} {
				part, err := OpenPart(t.Context(), v, c, need, opt)
				if err != nil {
					t.Fatal(err)
				}
				comparePart(t, whole, part, need)
				if err := part.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := Open(t.Context(), v, c, ckpt.Options{}); err == nil {
				t.Error("the part was opened as a whole model")
			}
			missing := NeedOf(c, []stages.Span{{Lo: 0, Hi: 1}}, func(int, int) bool { return false })
			if _, err := OpenPart(t.Context(), v, c, missing, ckpt.Options{}); err == nil {
				t.Error("layer 0 was opened, and has not been fetched")
			}
		})
	}
}

// TestSameIdentity: a directory has one identity wherever it lies, and the two containers have two.
func TestSameIdentity(t *testing.T) {
	identity := func(path string) string {
		dir := os.DirFS(path)
		c, err := Config(dir)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Describe(t.Context(), dir, c, ckpt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := mirror.Parse(raw); err != nil || again.Identity() != m.Identity() {
			t.Errorf("parsed: %v", err)
		}
		return m.Identity()
	}
	a, b, packed := identity(diskDemo(t)), identity(diskDemo(t)), identity(packedDemo(t))
	if a != b || a == packed || packed != identity(packedDemo(t)) {
		t.Errorf("identities %s, %s, packed %s", a, b, packed)
	}
}

// TestBeforeOverlay: what is fetched for an overlay is what it is made of.
func TestBeforeOverlay(t *testing.T) {
	c, err := Config(os.DirFS(diskDemo(t)))
	if err != nil {
		t.Fatal(err)
	}
	o := &surgery.Overlay{Experts: c.Model.NumExperts, Layers: make([][]surgery.Expert, c.Model.NumLayers)}
	for l := range o.Layers {
		o.Layers[l] = []surgery.Expert{surgery.Copy(3), {Router: surgery.Mix{{Expert: 1, Share: 1}}, Weights: surgery.Mix{{Expert: 2, Share: 0.5}, {Expert: 7, Share: 0.5}}}}
	}
	need := BeforeOverlay(o, func(_ string, layer, expert int) bool { return layer == 2 && (expert == 1 || expert == -1) })
	for _, w := range model.Tensors(c) {
		if got, want := need(w.Name, w.Layer, -1), w.Layer == 2; got != want {
			t.Errorf("%s: %v, want %v", w.Name, got, want)
		}
		if w.Layer < 0 || len(w.Shape) < 3 {
			continue
		}
		for e := range c.Model.NumExperts {
			if got, want := need(w.Name, w.Layer, e), w.Layer == 2 && (e == 2 || e == 7); got != want {
				t.Errorf("%s: expert %d: %v, want %v", w.Name, e, got, want)
			}
		}
	}
}

// TestOwnFiles: a host that has only the files that it needs opens its part, and is told when they are another
// checkpoint's.
func TestOwnFiles(t *testing.T) {
	path := diskDemo(t)
	dir := os.DirFS(path)
	whole := open(t, dir)
	man, err := Describe(t.Context(), dir, whole.Config, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	need := someOfDemo(whole.Config)
	kept := ""
	for i, w := range model.Tensors(whole.Config) {
		any := false
		for e := -1; e < whole.Config.Model.NumExperts; e++ {
			any = any || (e < 0) == (len(w.Shape) < 3) && need(w.Name, w.Layer, e)
		}
		file := fmt.Sprintf("%s/ckpt-0/tensor%05d_000", path, i)
		if any {
			kept = file
		} else if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := man.Compare(t.Context(), dir, need); err != nil {
		t.Error(err)
	}
	if err := man.Compare(t.Context(), dir, All); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("all of it: %v", err)
	}
	part, err := OpenPart(t.Context(), dir, whole.Config, need, ckpt.Options{Prefault: true})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	comparePart(t, whole, part, need)
	if _, err := Open(t.Context(), dir, whole.Config, ckpt.Options{}); err == nil || !strings.Contains(err.Error(), "missing file") {
		t.Errorf("all of it: %v", err)
	}
	raw, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"header": append([]byte{1}, raw[1:]...), "size": append(raw[:len(raw):len(raw)], 0)} {
		if err := os.WriteFile(kept, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := man.Compare(t.Context(), dir, need); err == nil || !strings.Contains(err.Error(), filepath.Base(kept)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
