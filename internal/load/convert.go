package load

import (
	"context"
	"encoding/json"
	"io/fs"
	"strconv"

	"troupe/ckpt"
	"troupe/model"
)

// What a packed file's metadata holds beside the format's own.
const (
	metaConfig = "config" // the configuration as JSON: it makes the file complete, and tells a mix-up
	metaSource = "source" // the container that it was made from
)

// WritePacked writes an open model as a packed file into dir.
func (m *Model) WritePacked(ctx context.Context, dir string, opt ckpt.Options) error {
	if m.partial {
		return errPart
	}
	config, err := json.Marshal(m.Config)
	if err != nil {
		return err
	}
	source := "xai"
	if m.Checkpoint.Packed() {
		source = m.Checkpoint.Meta[metaSource]
	}
	meta := map[string]string{metaConfig: string(config), metaSource: source}
	if flags := m.scaleFlags(); flags > 0 {
		meta[ckpt.ScaleFlagsKey] = strconv.Itoa(flags)
	}
	return ckpt.WritePacked(ctx, dir, m.Arrays(), meta, opt)
}

// scaleFlags are the flags that all scales have in their pickles; 0 if they differ.
func (m *Model) scaleFlags() (flags int) {
	for _, t := range m.Checkpoint.Tensors {
		switch {
		case t.Groups == 0 || t.ScaleFlags == flags:
		case flags == 0:
			flags = t.ScaleFlags
		default:
			return 0
		}
	}
	return flags
}

// WriteXAI writes an open model as the pickles of the published format into dir.
func (m *Model) WriteXAI(ctx context.Context, dir string, opt ckpt.Options) error {
	if m.partial {
		return errPart
	}
	return ckpt.Write(ctx, dir, m.Sources(), opt)
}

// Scan reads the headers of a model directory, pickles or packed file, in the order of the model's tensors.
func Scan(ctx context.Context, dir fs.FS, c model.Config, opt ckpt.Options) ([]ckpt.Header, error) {
	if ckpt.HasPacked(dir) {
		return ckpt.ScanPacked(dir, Wants(c))
	}
	return ckpt.Scan(ctx, dir, opt)
}

// warnOfConfig tells when a packed file was made with another configuration: shapes alone do not show a
// different multiplier or context.
func (m *Model) warnOfConfig(opt ckpt.Options) {
	if !m.Checkpoint.Packed() || opt.Log == nil {
		return
	}
	config, err := json.Marshal(m.Config)
	if noted := m.Checkpoint.Meta[metaConfig]; err == nil && noted != string(config) {
		opt.Log.Warn("config.json is not the configuration that "+ckpt.PackedName+" was made with; it counts", "config", string(config), "made_with", noted)
	}
}
