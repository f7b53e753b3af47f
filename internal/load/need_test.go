package load

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/model"
	"troupe/model/demo"
	"troupe/stages"
	"troupe/surgery"
)

// someOfDemo is layers 1 and 2, and experts 0 and 5 of layers 1 and 4.
func someOfDemo(c model.Config) Need {
	return NeedOf(c, []stages.Span{{Lo: 1, Hi: 3}}, func(layer, e int) bool {
		return (layer == 1 || layer == 4) && (e == 0 || e == 5)
	})
}

// holes is a directory whose arrays that are not needed are zeros, as in a copy that was fetched in part.
func holes(t *testing.T, dir string, need Need) string {
	t.Helper()
	c, err := Config(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := ckpt.Layouts(t.Context(), os.DirFS(dir), Wants(c), ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tensors := model.Tensors(c)
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, l := range layouts {
		path := filepath.Join(to, filepath.FromSlash(l.File))
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range l.Extents {
			if x.Tensor < 0 {
				clear(raw[x.Offset : x.Offset+x.Bytes])
			} else if w := tensors[x.Tensor]; !need(w.Name, w.Layer, x.Expert) {
				clear(raw[x.Offset : x.Offset+x.Bytes])
			}
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// sameWeight compares what kernels compute with.
func sameWeight(a, b *kernels.Weight) bool {
	return a.Name == b.Name && a.In == b.In && a.Out == b.Out && a.Groups == b.Groups && a.Panels == b.Panels && a.ByOutput == b.ByOutput &&
		slices.Equal(a.Q, b.Q) && slices.Equal(a.F, b.F) && slices.Equal(a.Scales, b.Scales)
}

// TestOpenPart: what is needed is bit for bit what the whole model has, in both containers, repacked or not, although
// everything else is zeros, which the checks of a whole model refuse; the rest is nil.
func TestOpenPart(t *testing.T) {
	for name, dir := range map[string]string{"pickles": diskDemo(t), "packed": packedDemo(t)} {
		t.Run(name, func(t *testing.T) {
			whole := open(t, os.DirFS(dir))
			need := someOfDemo(whole.Config)
			sparse := os.DirFS(holes(t, dir, need))
			if _, err := Open(t.Context(), sparse, whole.Config, ckpt.Options{}); err == nil {
				t.Error("zeros are opened as a whole model")
			}
			for _, opt := range []ckpt.Options{{}, {Prefault: true}, {Prefault: true, SkipInt8: true}} {
				part, err := OpenPart(t.Context(), sparse, whole.Config, need, opt)
				if err != nil {
					t.Fatal(err)
				}
				comparePart(t, whole, part, need)
				if part.Bytes() >= whole.Bytes()/3 {
					t.Errorf("a part has %d bytes of %d", part.Bytes(), whole.Bytes())
				}
				if err := part.WritePacked(t.Context(), t.TempDir(), ckpt.Options{}); !errors.Is(err, errPart) {
					t.Errorf("a part is written: %v", err)
				}
				if err := part.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// comparePart compares the weights of a part with those of the whole, and repacks the part.
func comparePart(t *testing.T, whole, part *Model, need Need) {
	t.Helper()
	compare := func(whole *Model) (here int) {
		for _, w := range model.Tensors(whole.Config) {
			a, b := whole.Weights[w.Name], part.Weights[w.Name]
			if len(a) != len(b) {
				t.Fatalf("%s: %d weights, want %d", w.Name, len(b), len(a))
			}
			for e := range a {
				number := e
				if len(w.Shape) < 3 {
					number = -1
				}
				switch wanted := need(w.Name, w.Layer, number); {
				case wanted != (b[e] != nil):
					t.Errorf("%s: expert %d: there: %v, want %v", w.Name, e, b[e] != nil, wanted)
				case wanted && !sameWeight(a[e], b[e]):
					t.Errorf("%s: expert %d differs", w.Name, e)
				case wanted:
					here++
				}
			}
		}
		return here
	}
	if compare(whole) == 0 {
		t.Error("nothing was compared")
	}
	bytes := part.RepackBytes()
	if whole.Checkpoint.Packed() != (bytes == 0) || bytes >= whole.RepackBytes()/2 && bytes > 0 {
		t.Errorf("repacking a part takes %d bytes, the whole %d", bytes, whole.RepackBytes())
	}
	packed := open(t, demo.FS())
	for _, m := range []*Model{part, packed} {
		if _, err := m.Repack(t.Context(), WorkOptions{Workers: 2}); err != nil {
			t.Fatal(err)
		}
	}
	compare(packed)
}

// TestPartIsRefused: who would compute with what is not there is told so when it is compiled.
func TestPartIsRefused(t *testing.T) {
	c, err := Config(demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	part, err := OpenPart(t.Context(), demo.FS(), c, someOfDemo(c), ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	libs := stages.OpenLibraries(kernels.Exact, kernels.Binding{}, kernels.SameThreads(1))
	plan := model.NewPlan(c)
	if _, err := stages.NewStage(c, plan, stages.Span{Lo: 2, Hi: 4}, part.Weights, libs, stages.CacheSize{Blocks: 1}, nil); err == nil || !strings.Contains(err.Error(), "not among the weights") {
		t.Errorf("layers 2 and 3: %v", err)
	}
	s, err := stages.NewStage(c, plan, stages.Span{Lo: 1, Hi: 3}, part.Weights, libs, stages.CacheSize{Blocks: 1}, nil)
	if err != nil {
		t.Fatalf("layers 1 and 2: %v", err)
	}
	x := stages.NewExperts(plan)
	if err := x.Add(4, 5, part.Weights, libs); err != nil {
		t.Errorf("expert 5 of layer 4: %v", err)
	}
	if err := x.Add(4, 1, part.Weights, libs); err == nil || !strings.Contains(err.Error(), "expert 1 is not") {
		t.Errorf("expert 1 of layer 4: %v", err)
	}
	if err := errors.Join(s.Close(), libs.Close()); err != nil {
		t.Error(err)
	}
}

// TestOverlayOfPart: an overlay of a part makes what the whole's has at the same places.
func TestOverlayOfPart(t *testing.T) {
	whole := open(t, demo.FS())
	c := whole.Config
	o := &surgery.Overlay{Experts: c.Model.NumExperts, Layers: make([][]surgery.Expert, c.Model.NumLayers)}
	for l := range o.Layers {
		for e := range c.Model.NumExperts {
			o.Layers[l] = append(o.Layers[l], surgery.Copy((e+3)%c.Model.NumExperts))
		}
		o.Layers[l][5] = surgery.Expert{Router: surgery.Mix{{Expert: 2, Share: 1}}, Weights: surgery.Mix{{Expert: 1, Share: 0.5}, {Expert: 6, Share: 0.5}}}
		o.Layers[l][6] = o.Layers[l][5]
	}
	need := someOfDemo(c)
	part, err := OpenPart(t.Context(), demo.FS(), c, BeforeOverlay(o, need), ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	for _, m := range []*Model{whole, part} {
		if _, err := m.Overlay(t.Context(), o, WorkOptions{Workers: 2}); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for _, w := range model.Tensors(whole.Config) {
		for e, k := range part.Weights[w.Name] {
			number := e
			if len(w.Shape) < 3 {
				number = -1
			}
			if need(w.Name, w.Layer, number) {
				if seen++; k == nil || !sameWeight(k, whole.Weights[w.Name][e]) {
					t.Errorf("%s: expert %d differs", w.Name, e)
				}
			}
		}
		if len(part.Weights[w.Name]) != len(whole.Weights[w.Name]) {
			t.Errorf("%s: %d weights, want %d", w.Name, len(part.Weights[w.Name]), len(whole.Weights[w.Name]))
		}
	}
	if seen == 0 {
		t.Error("nothing was compared")
	}
	if err := part.WriteXAI(t.Context(), t.TempDir(), ckpt.Options{}); !errors.Is(err, errPart) {
		t.Errorf("a part is written: %v", err)
	}
}

// absentPart is a file system that says of the arrays of one file that they are not there.
type absentPart struct {
	fs.FS
	file string
}

func (a absentPart) Open(name string) (fs.File, error) {
	f, err := a.FS.Open(name)
	if r, ok := f.(io.ReaderAt); ok && name == a.file {
		return hollow{f, r}, err
	}
	return f, err
}

// hollow is a file without arrays.
type hollow struct {
	fs.File
	io.ReaderAt
}

var errHole = errors.New("a hole")

func (hollow) Mappable() *os.File { return nil }

func (hollow) Present(lo, hi int64) error {
	if hi > lo {
		return errHole
	}
	return nil
}

// TestHolesAreRefused: what a sparse file has not got is an error if it is needed, and only then.
func TestHolesAreRefused(t *testing.T) {
	c, err := Config(demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range model.Tensors(c) {
		file := absentPart{demo.FS(), fmt.Sprintf("ckpt-0/tensor%05d_000", i)}
		need := func(name string, _, _ int) bool { return name == w.Name }
		if _, err := OpenPart(t.Context(), file, c, need, ckpt.Options{}); !errors.Is(err, errHole) || !strings.Contains(err.Error(), w.Name) {
			t.Errorf("%s: %v", w.Name, err)
		}
		others, err := OpenPart(t.Context(), file, c, func(name string, l, e int) bool { return !need(name, l, e) }, ckpt.Options{})
		if err != nil {
			t.Errorf("all but %s: %v", w.Name, err)
			continue
		}
		if missing := others.Weights[w.Name]; !reflect.DeepEqual(missing, make([]*kernels.Weight, len(missing))) {
			t.Errorf("%s is there", w.Name)
		}
		if err := others.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNeedOf: for every run of layers, what NeedOf says is enough to compile the stage and its experts, and leaves the
// other layers out.
func TestNeedOf(t *testing.T) {
	c, err := Config(demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	plan, n := model.NewPlan(c), c.Model.NumLayers
	for lo := range n {
		for hi := lo + 1; hi <= n; hi++ {
			span := stages.Span{Lo: lo, Hi: hi}
			need := NeedOf(c, []stages.Span{span}, func(layer, e int) bool { return layer >= lo && layer < hi && e == 1 })
			part, err := OpenPart(t.Context(), demo.FS(), c, need, ckpt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			libs := stages.OpenLibraries(kernels.Int8, kernels.Binding{}, kernels.SameThreads(1))
			s, err := stages.NewStage(c, plan, span, part.Weights, libs, stages.CacheSize{Blocks: 1}, nil)
			if err != nil {
				t.Fatalf("layers %d to %d: %v", lo, hi-1, err)
			}
			x := stages.NewExperts(plan)
			for l := lo; l < hi; l++ {
				if err := x.Add(l, 1, part.Weights, libs); err != nil {
					t.Error(err)
				}
			}
			for _, w := range model.Tensors(c) {
				if w.Layer >= 0 && (w.Layer < lo || w.Layer >= hi) && slices.ContainsFunc(part.Weights[w.Name], func(k *kernels.Weight) bool { return k != nil }) {
					t.Errorf("layers %d to %d: %s was opened", lo, hi-1, w.Name)
				}
			}
			if err := errors.Join(s.Close(), libs.Close(), part.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}
