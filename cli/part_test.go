package main

import (
	"os"
	"slices"
	"testing"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
	"troupe/internal/load"
	"troupe/stages"
)

// TestPartOfSynthetic: of a model that new has written, with float32 attention and int8 experts in eight scale groups
// or one, in both containers, a fetched part is bit for bit that of the whole.
func TestPartOfSynthetic(t *testing.T) {
	dir := t.TempDir()
	size := []string{"--num-layers", "3", "--emb-size", "128", "--key-size", "16", "--num-experts", "6", "--seed", "11"}
	for name, more := range map[string][]string{"experts": {"--quantised", "experts"}, "all": {"--quantised", "int8", "--row-groups", "8"}, "none": {"--quantised", "none"}} {
		xai, packed := dir+"/"+name, dir+"/"+name+"-packed"
		troupe(t, "", append(append([]string{"new", "-q", "--out", xai}, size...), more...)...).ok(t)
		troupe(t, "", "convert", "-q", "-m", xai, "--to", "packed", "--out", packed).ok(t)
		for _, path := range []string{xai, packed} {
			samePart(t, path)
		}
	}
}

func samePart(t *testing.T, path string) {
	t.Helper()
	files := os.DirFS(path)
	c, err := load.Config(files)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := load.Open(t.Context(), files, c, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	m, err := load.Describe(t.Context(), files, c, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	need := load.NeedOf(c, []stages.Span{{Lo: 1, Hi: 3}}, func(layer, e int) bool { return layer == 0 && e%2 == 1 || layer == 2 && e < 2 })
	v, err := mirror.Get(t.Context(), mirror.Options{Dir: t.TempDir()}, mirror.NewDirectory(files, m), need, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	part, err := load.OpenPart(t.Context(), v, c, need, ckpt.Options{Prefault: true})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	seen := 0
	for name, list := range part.Weights {
		for e, k := range list {
			if k == nil {
				continue
			}
			seen++
			w := whole.Weights[name][e]
			if k.Panels != w.Panels || !slices.Equal(k.Q, w.Q) || !slices.Equal(k.F, w.F) || !slices.Equal(k.Scales, w.Scales) {
				t.Errorf("%s: %s: expert %d differs", path, name, e)
			}
		}
	}
	// Two layers of nine tensors without experts, the head's two, and three matrices of three and of two experts.
	if want := 2*9 + 2 + 3*3 + 3*2; seen != want {
		t.Errorf("%s: %d weights are there, want %d", path, seen, want)
	}
}
