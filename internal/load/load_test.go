package load

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"troupe/ckpt"
	"troupe/internal/solo"
	"troupe/kernels"
	_ "troupe/kernels/cpu"
	_ "troupe/kernels/ref"
	"troupe/model/demo"
)

func open(t *testing.T, dir fs.FS) *Model {
	t.Helper()
	c, err := Config(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), dir, c, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// diskDemo copies the demo into a directory, whose files are mapped.
func diskDemo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, demo.FS()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// packedDemo is the demo as a packed file.
func packedDemo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := open(t, demo.FS()).WritePacked(t.Context(), dir, ckpt.Options{}); err != nil {
		t.Fatal(err)
	}
	raw, err := fs.ReadFile(demo.FS(), "config.json")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSameWeights: pickles, repacked pickles (from files and from memory) and a packed file are the same numbers
// and, in every arithmetic of every library, the same logits bit for bit.
func TestSameWeights(t *testing.T) {
	raw := open(t, demo.FS())
	others := map[string]*Model{"repacked from memory": open(t, demo.FS()), "repacked from files": open(t, os.DirFS(diskDemo(t))), "packed": open(t, os.DirFS(packedDemo(t)))}
	for name, m := range others {
		need, last := m.RepackBytes(), int64(0)
		r, err := m.Repack(t.Context(), WorkOptions{Workers: 3, Progress: func(done, total int64) {
			if done <= last || total != need {
				t.Errorf("%s: progress %d of %d after %d", name, done, total, last)
			}
			last = done
		}})
		if err != nil || r.Bytes != need || last != need || (need > 0) == (name == "packed") || m.RepackBytes() != 0 {
			t.Fatalf("%s: %+v, %v, %d bytes wanted, %d now", name, r, err, need, m.RepackBytes())
		}
		if again, err := m.Repack(t.Context(), WorkOptions{}); err != nil || again.Bytes != 0 {
			t.Errorf("%s: again: %+v, %v", name, again, err)
		}
		sameWeights(t, name, m, raw)
	}
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

func sameWeights(t *testing.T, name string, got, want *Model) {
	t.Helper()
	for tensor, list := range want.Weights {
		for e, w := range list {
			g := got.Weights[tensor][e]
			if err := g.Check(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if g.Panels != g.Quantised() || g.Name != w.Name || !slices.Equal(g.Scales, w.Scales) || !slices.Equal(g.F, w.F) || g.ByOutput != w.ByOutput {
				t.Fatalf("%s: %s, expert %d: in panels %v, or other scales or floats", name, tensor, e, g.Panels)
			}
			for k := 0; w.Quantised() && k < w.In; k += 7 {
				for o := range w.Out {
					if g.At(k, o) != w.At(k, o) {
						t.Fatalf("%s: %s, expert %d: [%d %d] is %d, want %d", name, tensor, e, k, o, g.At(k, o), w.At(k, o))
					}
				}
			}
		}
	}
}

func logits(t *testing.T, m *Model, a kernels.Arith, library string, prompt []int32) [][]float32 {
	t.Helper()
	binding, err := kernels.ParseBinding(library)
	if err != nil {
		t.Fatal(err)
	}
	l, err := solo.New(solo.Options{Config: m.Config, Weights: m.Weights, Arith: a, Binding: binding, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rows, err := l.Prefill(prompt, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i] = slices.Clone(rows[i])
	}
	return rows
}

// TestRepackNeedsMemory: a machine without it is told before anything is done.
func TestRepackNeedsMemory(t *testing.T) {
	m := open(t, demo.FS())
	_, err := m.Repack(t.Context(), WorkOptions{Workers: 1, Memory: func() (int64, error) { return m.RepackBytes() - 1, nil }})
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "troupe convert") || !strings.Contains(err.Error(), "--repack off") || m.RepackBytes() == 0 {
		t.Errorf("%v, %d bytes left to repack", err, m.RepackBytes())
	}
	unknown := func() (int64, error) { return 0, errors.New("not known") }
	if _, err := m.Repack(t.Context(), WorkOptions{Workers: 1, Memory: unknown}); err != nil || m.RepackBytes() != 0 {
		t.Errorf("without the number: %v", err)
	}
}

func TestRepackCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := open(t, demo.FS())
	need := m.RepackBytes()
	_, err := m.Repack(ctx, WorkOptions{Workers: 2, Progress: func(done, _ int64) {
		if done > need/4 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || m.RepackBytes() != need {
		t.Errorf("%v, %d of %d bytes left to repack", err, m.RepackBytes(), need)
	}
}

// TestRepackCutFile: a matrix whose pages have vanished is an error that names its file.
func TestRepackCutFile(t *testing.T) {
	dir := diskDemo(t)
	m := open(t, os.DirFS(dir))
	if runtime.GOOS == "windows" {
		t.Skip("files are not mapped here")
	}
	path := filepath.Join(dir, m.Checkpoint.Tensors[3].File)
	if err := errors.Join(os.Chmod(path, 0o644), os.Truncate(path, 0)); err != nil {
		t.Skip("a file in use cannot be cut here:", err)
	}
	_, err := m.Repack(t.Context(), WorkOptions{Workers: 2})
	var e *ckpt.Error
	if !errors.As(err, &e) || e.File != m.Checkpoint.Tensors[3].File {
		t.Errorf("%v, want an error about %s", err, m.Checkpoint.Tensors[3].File)
	}
}

// TestPackedConfig: a packed file that was made with another configuration is used, with a warning; so is one
// beside pickles. Without config.json there is an error.
func TestPackedConfig(t *testing.T) {
	dir := packedDemo(t)
	c, err := Config(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	warned := func() string {
		var b strings.Builder
		m, err := Open(t.Context(), os.DirFS(dir), c, ckpt.Options{Log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		return b.String()
	}
	if got := warned(); got != "" {
		t.Errorf("warned: %s", got)
	}
	c.OutputMultiplierScale *= 2
	if got := warned(); !strings.Contains(got, "not the configuration") {
		t.Errorf("another multiplier: warned %q", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "ckpt-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := warned(); !strings.Contains(got, "both model.troupe and ckpt-0") {
		t.Errorf("pickles beside it: warned %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Config(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "no config.json: model.troupe") {
		t.Errorf("without config.json: %v", err)
	}
}

// TestArraysInReadingOrder: an expert's three matrices stand together, and layers in order.
func TestArraysInReadingOrder(t *testing.T) {
	m := open(t, demo.FS())
	var names []string
	for _, a := range m.Arrays() {
		names = append(names, a.Name)
	}
	at := func(name string) int { return slices.Index(names, name) }
	const layer = "transformer/decoder_layer_0/"
	gate := at(layer + "moe/linear/w.panels.3")
	if at(layer+"moe/linear_v/w.panels.3") != gate+1 || at(layer+"moe/linear_1/w.panels.3") != gate+2 {
		t.Errorf("expert 3 begins at %d: %v", gate, names[max(gate, 0):gate+4])
	}
	order := []string{layer + "rms_norm/scale", layer + "multi_head_attention/query/w.panels", layer + "router/w", layer + "moe/linear/w.panels.0", "transformer/decoder_layer_1/rms_norm/scale", "transformer/decoder_layer_5/moe/linear/w.panels.7", "language_model/rms_norm/scale"}
	last := -1
	for _, name := range order {
		if i := at(name); i <= last {
			t.Errorf("%s is array %d, want it behind %d", name, i, last)
		} else {
			last = i
		}
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(names))); len(sorted) != len(names) || len(names) != 2+6*(4+1+4*2+3+24) {
		t.Errorf("%d arrays, %d names", len(names), len(sorted))
	}
}

// TestPrefersPanels follows the binding.
func TestPrefersPanels(t *testing.T) {
	for library, want := range map[string]bool{"ref": false, "cpu/generic": false} {
		b, err := kernels.ParseBinding(library)
		if err != nil || PrefersPanels(b, 2) != want {
			t.Errorf("%s: %v, want %v (%v)", library, !want, want, err)
		}
	}
	for _, v := range kernels.Variants() {
		if v.Score() == 0 || !v.Panels {
			continue
		}
		if b, err := kernels.ParseBinding("ref,expert@1=" + v.Name); err != nil || !PrefersPanels(b, 2) || PrefersPanels(b, 1) {
			t.Errorf("%s for the experts of layer 1: %v", v.Name, err)
		}
	}
}
