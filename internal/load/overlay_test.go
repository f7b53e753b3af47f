package load

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/model/demo"
	"troupe/surgery"
)

// operated opens a directory and applies an overlay.
func operated(t *testing.T, dir fs.FS, o *surgery.Overlay) *Model {
	t.Helper()
	m := open(t, dir)
	if _, err := m.Overlay(t.Context(), o, WorkOptions{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	return m
}

// made makes an overlay of the demo.
func made(t *testing.T) func(o *surgery.Overlay, err error) *surgery.Overlay {
	return func(o *surgery.Overlay, err error) *surgery.Overlay {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
}

func repack(t *testing.T, m *Model) *Model {
	t.Helper()
	if _, err := m.Repack(t.Context(), WorkOptions{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestIdentityOverlay: no bit of any logit changes, in every arithmetic of every library, with and without
// repacking, from pickles and from a packed file.
func TestIdentityOverlay(t *testing.T) {
	plain, packed := demo.FS(), os.DirFS(packedDemo(t))
	raw := open(t, plain)
	o := surgery.Identity(surgery.SizesOf(raw.Config))
	others := map[string]*Model{"pickles": operated(t, plain, o), "repacked": repack(t, operated(t, plain, o)), "packed": operated(t, packed, o)}
	prompt := []int32{1, 571, 1996}
	for _, v := range kernels.Variants() {
		if v.Score() == 0 {
			continue
		}
		for _, a := range []kernels.Arith{kernels.Exact, kernels.Int8, kernels.Reference} {
			want := logits(t, raw, a, v.Name, prompt)
			for name, m := range others {
				for i, row := range logits(t, m, a, v.Name, prompt) {
					if !slices.Equal(row, want[i]) {
						t.Errorf("%s: %s: %v: position %d has other logits", name, v.Name, a, i)
					}
				}
			}
		}
	}
}

// everyKind is an overlay of the demo with everything in it: fewer experts, copies, averages alike and unlike, noise.
func everyKind(t *testing.T, m *Model) *surgery.Overlay {
	t.Helper()
	o := surgery.Identity(surgery.SizesOf(m.Config))
	half := surgery.Mix{{Expert: 1, Share: 0.5}, {Expert: 4, Share: 0.5}}
	odd := surgery.Mix{{Expert: 0, Share: 0.2}, {Expert: 2, Share: 0.3}, {Expert: 7, Share: 0.5}}
	experts := []surgery.Expert{
		surgery.Copy(3), surgery.Copy(3), {Router: surgery.Mix{{Expert: 1, Share: 1}}, Weights: half}, {Router: half, Weights: half},
		surgery.Copy(6), {Router: odd, Weights: odd, Noise: 0.01, Seed: 5}, {Router: odd, Weights: odd, Noise: 0.01, Seed: 6},
	}
	o.Layers = slices.Repeat([][]surgery.Expert{experts}, len(o.Layers))
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOverlayInEveryContainer: the same weights and logits from pickles, repacked, from a packed file, and from
// checkpoints of both containers written of each.
func TestOverlayInEveryContainer(t *testing.T) {
	raw := open(t, demo.FS())
	o := everyKind(t, raw)
	from := map[string]fs.FS{"pickles": demo.FS(), "packed": os.DirFS(packedDemo(t))}
	want := operated(t, demo.FS(), o)
	prompt := []int32{1, 571, 1996}
	rows := map[kernels.Arith][][]float32{}
	for _, a := range []kernels.Arith{kernels.Exact, kernels.Int8} {
		rows[a] = logits(t, want, a, "cpu", prompt)
	}
	same := func(name string, m *Model) {
		t.Helper()
		if m.Config.Model != want.Config.Model || m.Config.Model.NumExperts != 7 {
			t.Fatalf("%s: configuration %+v", name, m.Config.Model)
		}
		for a, list := range rows {
			for i, row := range logits(t, m, a, "cpu", prompt) {
				if !slices.Equal(row, list[i]) {
					t.Errorf("%s: %v: position %d has other logits", name, a, i)
				}
			}
		}
	}
	for name, dir := range from {
		m := operated(t, dir, o)
		same(name, m)
		for to, write := range map[string]func(string) error{
			"xai":    func(out string) error { return m.WriteXAI(t.Context(), out, ckpt.Options{}) },
			"packed": func(out string) error { return m.WritePacked(t.Context(), out, ckpt.Options{}) },
		} {
			out := t.TempDir()
			if err := write(out); err != nil {
				t.Fatalf("%s to %s: %v", name, to, err)
			}
			again, err := Open(t.Context(), os.DirFS(out), m.Config, ckpt.Options{})
			if err != nil {
				t.Fatalf("%s to %s: %v", name, to, err)
			}
			same(name+" to "+to, again)
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
		same(name+", repacked", repack(t, m))
	}
}

// TestOverlayCopiesNothing: pruned and duplicated experts read the checkpoint's memory, and a repacked one is
// repacked once.
func TestOverlayCopiesNothing(t *testing.T) {
	raw := open(t, demo.FS())
	s := surgery.SizesOf(raw.Config)
	o := made(t)(surgery.Duplicate(s, slices.Repeat([][]int{{2, 2, 5}}, s.Layers)))
	m := operated(t, demo.FS(), o)
	if got, want := m.RepackBytes(), raw.RepackBytes(); got != want {
		t.Errorf("%d bytes to repack, want %d: copies are the same matrices", got, want)
	}
	repack(t, m)
	const name = "transformer/decoder_layer_4/moe/linear_1/w"
	list := m.Weights[name]
	if len(list) != 11 || list[8] != list[2] || list[9] != list[2] || list[10] != list[5] || !list[2].Panels {
		t.Errorf("%d experts, whose copies are not the originals", len(list))
	}
	if got, want := m.Bytes()-raw.Bytes(), 6*int64(3*(3*192*384+2*(384+384+8*192))+4*3*192); got < want-20_000 || got > want {
		t.Errorf("three experts more are %d bytes, want %d, less what the pickles have around the numbers", got, want)
	}
	pruned := operated(t, demo.FS(), made(t)(surgery.Prune(s, slices.Repeat([][]int{{1, 6}}, s.Layers))))
	var experts, rest int64
	for name, list := range raw.Weights {
		for _, w := range list {
			if w.Quantised() {
				n := int64(kernels.PanelSize(w.In, w.Out, w.Groups))
				if strings.Contains(name, "/moe/") {
					experts += n
				} else {
					rest += n
				}
			}
		}
	}
	if got, want := pruned.RepackBytes(), rest+experts/4; got != want {
		t.Errorf("two of eight experts: %d bytes to repack, want %d", got, want)
	}
}

// TestOverlayNeedsMemory: a machine without it is told before anything is done, and an overlay for another model
// changes nothing either.
func TestOverlayNeedsMemory(t *testing.T) {
	m := open(t, demo.FS())
	o := everyKind(t, m)
	bytes, err := m.Overlay(t.Context(), o, WorkOptions{Workers: 1, Memory: func() (int64, error) { return 1000, nil }})
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "convert --overlay") || m.Config.Model.NumExperts != 8 {
		t.Errorf("%v, %d experts", err, m.Config.Model.NumExperts)
	}
	other := *o
	other.Layers = o.Layers[:5]
	if _, err := m.Overlay(t.Context(), &other, WorkOptions{}); err == nil || !strings.Contains(err.Error(), "5 layers of 8 experts, and the model has 6 of 8") {
		t.Errorf("an overlay for other layers: %v", err)
	}
	if done, err := m.Overlay(t.Context(), o, WorkOptions{Workers: 1, Memory: func() (int64, error) { return bytes, nil }}); err != nil || done != bytes {
		t.Errorf("with just enough memory: %d of %d bytes, %v", done, bytes, err)
	}
}
