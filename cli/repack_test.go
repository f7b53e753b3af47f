package main

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"troupe/internal/load"
	"troupe/kernels"
	"troupe/tensor"
)

// TestRepackWithoutMemory: too little memory is a warning where repacking is a matter of speed, and an error where it
// was demanded.
func TestRepackWithoutMemory(t *testing.T) {
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	l := launch{dir: dir, memory: func() (int64, error) { return 1000, nil }}
	if l.config, err = dir.config(); err != nil {
		t.Fatal(err)
	}
	best, err := kernels.Find("")
	if err != nil {
		t.Fatal(err)
	}
	for mode, warns := range map[string]bool{repackAuto: best.Panels, repackOff: false} {
		var out bytes.Buffer
		p := newProgram(&interrupts{}, nil, nil, &out)
		l.repack = mode
		m, err := p.openModel(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if m.RepackBytes() == 0 || strings.Contains(out.String(), "slower to compute") != warns || strings.Contains(out.String(), "repacked in") {
			t.Errorf("%s: %d bytes to repack, says %s", mode, m.RepackBytes(), out.String())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	l.repack = repackOn
	p := newProgram(&interrupts{}, nil, nil, &bytes.Buffer{})
	if _, err := p.openModel(t.Context(), l); !errors.Is(err, load.ErrMemory) {
		t.Errorf("on: %v, want %v", err, load.ErrMemory)
	}
	if o := troupe(t, "", "run", "--repack", "maybe", "x"); o.code != exitUsage || !strings.Contains(o.err, `--repack: "maybe", want auto, on or off`) {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// TestOverlayWithoutMemory: too little memory for an overlay is an error; where it is too little for repacking alone the
// files are opened again, and the overlay applied again.
func TestOverlayWithoutMemory(t *testing.T) {
	best, err := kernels.Find("")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	file, _ := overlay(t, "average", "--groups", "0+1")
	l := launch{dir: dir, repack: repackAuto}
	if l.config, l.rearranged, err = dir.rearrange(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	calls := 0
	l.memory = func() (int64, error) {
		if calls++; calls == 2 { // of repacking
			return 1000, nil
		}
		return 1 << 40, nil
	}
	p := newProgram(&interrupts{}, nil, nil, &bytes.Buffer{})
	m, err := p.openModel(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Weights["transformer/decoder_layer_3/moe/linear/w"]); n != 7 || best.Panels && (calls != 3 || m.RepackBytes() == 0) {
		t.Errorf("%d experts, asked for memory %d times, %d bytes left to repack", n, calls, m.RepackBytes())
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	l.memory = func() (int64, error) { return 1000, nil }
	if _, err := p.openModel(t.Context(), l); !errors.Is(err, load.ErrMemory) || !strings.Contains(err.Error(), "overlay: too little memory") {
		t.Errorf("%v, want %v", err, load.ErrMemory)
	}
}

// TestRepackToBeShared: where plugins may come, repacked weights lie where they can be mapped.
func TestRepackToBeShared(t *testing.T) {
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	l := launch{dir: dir, repack: repackOn, binding: kernels.Binding{}}
	if l.config, err = dir.config(); err != nil {
		t.Fatal(err)
	}
	for _, control := range []string{"", "/tmp/socket"} {
		l.kernels.control = control
		want := l.shares() // with a socket in any case; other tests may have lent libraries
		if control != "" && !want {
			t.Error("with a control socket, weights are not shared")
		}
		m, err := newProgram(&interrupts{}, nil, nil, &bytes.Buffer{}).openModel(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		for name, list := range m.Weights {
			if _, _, shared := tensor.RegionOf(list[0].Q); list[0].Quantised() && runtime.GOOS == "linux" && shared != want {
				t.Errorf("control %q: %s: can be mapped by a plugin: %v", control, name, shared)
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
