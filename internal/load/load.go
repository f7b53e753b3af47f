// Package load opens a model directory: configuration, checkpoint, and the checkpoint's arrays as the
// weights that kernels read. It is where ckpt, model and stages meet, for the command line and for tests.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/tensor"
)

// Model is an open model directory.
type Model struct {
	Config     model.Config
	Checkpoint *ckpt.Checkpoint
	Weights    stages.Weights

	arena   *tensor.Arena     // of repacked matrices; nil: none
	made    *tensor.Arena     // of what an overlay has computed; nil: none
	changed map[string][]part // the tensors that an overlay has rearranged, by name; nil: none
	partial bool              // some weights are nil
}

// Close gives the checkpoint and all memory back; no weight may be used afterwards.
func (m *Model) Close() error {
	err := m.Checkpoint.Close()
	for _, a := range []*tensor.Arena{m.arena, m.made} {
		if a != nil {
			err = errors.Join(err, a.Close())
		}
	}
	return err
}

// maxConfig bounds config.json.
const maxConfig = 1 << 20

// Config reads the configuration of a model directory. A directory without config.json is Grok-1 when
// its checkpoint has that shape: the released model comes without one.
func Config(dir fs.FS) (model.Config, error) {
	f, err := dir.Open("config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return recognise(dir)
	}
	if err != nil {
		return model.Config{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return model.Config{}, fmt.Errorf("config.json: %w", err)
	}
	if len(raw) > maxConfig {
		return model.Config{}, fmt.Errorf("config.json: longer than %d bytes: not a configuration", maxConfig)
	}
	return model.ParseConfig(raw)
}

// recognise tells Grok-1 by its 770 files; Open checks every shape afterwards.
func recognise(dir fs.FS) (model.Config, error) {
	if ckpt.HasPacked(dir) {
		return model.Config{}, fmt.Errorf("no config.json: %s needs the one that was written beside it: copy it again", ckpt.PackedName)
	}
	names, err := fs.Glob(dir, "ckpt-0/tensor*")
	if err != nil || len(names) == 0 {
		return model.Config{}, fmt.Errorf("no config.json and no ckpt-0/tensor files: want a model directory (config.json, tokenizer.model, ckpt-0 or model.troupe)")
	}
	grok1, err := model.FindPreset("grok-1")
	if err != nil {
		return model.Config{}, err
	}
	if want := len(model.Tensors(grok1.Config)); len(names) != want {
		return model.Config{}, fmt.Errorf("no config.json, and %d files in ckpt-0 where Grok-1 has %d: add the config.json that belongs to this checkpoint", len(names), want)
	}
	return grok1.Config, nil
}

// Wants lists what a checkpoint of this configuration must hold.
func Wants(c model.Config) []ckpt.Want {
	var wants []ckpt.Want
	for _, t := range model.Tensors(c) {
		wants = append(wants, ckpt.Want{Name: t.Name, Shape: t.Shape, Plain: t.Plain, Groups: t.Int8, Class: t.Class})
	}
	return wants
}

// Open opens the checkpoint of a directory against a configuration and points weights at its arrays:
// nothing but scales (and, on machines that cannot read unaligned floats, float arrays) is copied.
func Open(ctx context.Context, dir fs.FS, c model.Config, opt ckpt.Options) (*Model, error) {
	cp, err := ckpt.Open(ctx, dir, Wants(c), opt)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, Checkpoint: cp, Weights: weights(cp.Tensors), partial: opt.Need != nil}
	m.warnOfConfig(opt)
	return m, nil
}

// weights looks at a checkpoint's tensors as kernels read them.
func weights(tensors []ckpt.Tensor) stages.Weights {
	w := stages.Weights{}
	for i := range tensors {
		t := &tensors[i]
		if t.None() {
			w[t.Name] = make([]*kernels.Weight, len(t.Absent))
			continue
		}
		shape := t.Weight.Shape
		experts, in, out := 1, 1, shape[len(shape)-1]
		if len(shape) >= 2 {
			in = shape[len(shape)-2]
		}
		if len(shape) == 3 {
			experts = shape[0]
		}
		var floats []float32
		if t.Weight.DType == tensor.F32 {
			floats, _ = tensor.Float32s(t.Data)
		}
		for e := range experts {
			if !t.Has(e) {
				w[t.Name] = append(w[t.Name], nil)
				continue
			}
			k := &kernels.Weight{Name: t.Name, In: in, Out: out, Groups: t.Groups}
			n := in * out
			if floats != nil {
				k.F = floats[e*n : (e+1)*n]
			} else {
				if t.Panels != nil {
					k.Q, k.Panels = tensor.Int8s(t.Panels[e]), true
				} else {
					k.Q = tensor.Int8s(t.Data[e*n : (e+1)*n])
				}
				k.Scales = tensor.WidenBF16(t.Scales[2*e*t.Groups*out : 2*(e+1)*t.Groups*out])
			}
			if t.Name == model.Embedding { // stored token by token: the head reads it output by output
				k.In, k.Out, k.ByOutput = out, in, true
			}
			w[t.Name] = append(w[t.Name], k)
		}
	}
	return w
}
