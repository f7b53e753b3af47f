package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/model"
	"troupe/model/demo"
	"troupe/tensor"
	"troupe/tokens"
)

// maxTokenizer bounds a tokenizer.model; Grok-1's has 2 MB.
const maxTokenizer = 64 << 20

// directory is a model directory: config.json, tokenizer.model, ckpt-0.
type directory struct {
	name string // for people
	fs.FS
}

// embedded tells whether it is the demo within the program.
func (d directory) embedded() bool {
	_, ok := d.FS.(embed.FS)
	return ok
}

// modelDir finds the directory of --model; "" is the embedded demo.
func modelDir(path string) (directory, error) {
	if path == "" {
		return directory{"the embedded demo", demo.FS()}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return directory{}, fmt.Errorf("%s: %w: want a model directory (config.json, tokenizer.model, ckpt-0 or model.troupe)", path, bare(err))
	}
	if !info.IsDir() {
		return directory{}, fmt.Errorf("%s: a file, want a model directory (config.json, tokenizer.model, ckpt-0 or model.troupe)", path)
	}
	return directory{path, os.DirFS(path)}, nil
}

// config reads the directory's configuration.
func (d directory) config() (model.Config, error) {
	c, err := load.Config(d)
	return c, d.blame(err)
}

// blame puts the directory before an error.
func (d directory) blame(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

// tokenizer opens tokenizer.model.
func (d directory) tokenizer() (*tokens.Tokenizer, error) {
	info, err := fs.Stat(d, "tokenizer.model")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.blame(errors.New("no tokenizer.model: put the model's one there, or work with ids alone (--tokens and --ids)"))
	}
	if err == nil && info.Size() > maxTokenizer {
		err = fmt.Errorf("tokenizer.model: %d bytes, want at most %d", info.Size(), maxTokenizer)
	}
	if err != nil {
		return nil, d.blame(err)
	}
	raw, err := fs.ReadFile(d, "tokenizer.model")
	if err != nil {
		return nil, d.blame(err)
	}
	t, err := tokens.New(raw)
	return t, d.blame(err)
}

// opened is a model that is ready to run.
type opened struct {
	*load.Model
	dir      directory
	staged   *mirror.Mirror // nil: mapped where it lies
	identity string         // of the checkpoint; "": nobody has asked
}

// Close gives everything back.
func (o *opened) Close() error {
	err := o.Model.Close()
	if o.staged != nil {
		err = errors.Join(err, o.staged.Close())
	}
	return err
}

// openModel maps the checkpoint of a directory, with its pages in memory, and says how long that took. With
// --shm it is copied into /dev/shm first, unless another program has done so; pickles are repacked if that pays.
func (p *program) openModel(ctx context.Context, l launch) (_ *opened, err error) {
	var copied *mirror.Mirror
	if l.shm {
		if copied, err = p.stage(ctx, l); err != nil {
			return nil, l.dir.blame(err)
		}
	}
	return p.openCopied(ctx, l, copied)
}

// openCopied is openModel from a copy of the directory, which goes when the model is closed; nil: from where it lies.
func (p *program) openCopied(ctx context.Context, l launch, copied *mirror.Mirror) (_ *opened, err error) {
	start := time.Now()
	o := &opened{dir: l.dir, staged: copied}
	opt := ckpt.Options{Log: p.logs.part("ckpt"), Prefault: true}
	files := fs.FS(l.dir)
	if copied != nil {
		files = copied
	}
	tensor.ShareAll(l.shares())
	repacked, err := p.load(ctx, o, files, l, opt)
	if err != nil {
		if o.staged != nil {
			err = errors.Join(err, o.staged.Close())
		}
		return nil, l.dir.blame(err)
	}
	took, bytes := time.Since(start), o.Checkpoint.Bytes()
	also := ""
	if repacked.Bytes > 0 {
		also = fmt.Sprintf("; %s of it repacked in %s, --repack off or troupe convert spare that", humanBytes(repacked.Bytes), seconds(repacked.Took))
	}
	if bytes > 0 {
		p.notice("%s: %s loaded in %s (%s/s)%s", l.dir.name, humanBytes(bytes), seconds(took), humanBytes(perSecond(bytes, took)), also)
	}
	return o, nil
}

// stage copies what is needed of a directory's checkpoint into memory, where all programs of this user on this host share
// one copy.
func (p *program) stage(ctx context.Context, l launch) (*mirror.Mirror, error) {
	opt := ckpt.Options{Log: p.logs.part("ckpt")}
	m, err := load.Describe(ctx, l.dir, l.stored(), opt)
	if err != nil {
		return nil, err
	}
	report, end := p.progress("copying to /dev/shm", inBytes)
	defer end()
	o := mirror.Options{Dir: mirror.SharedMemory(), Temporary: true, Log: opt.Log}
	return mirror.Get(ctx, o, mirror.NewDirectory(l.dir, m), l.wants(), l.repackThreads(), report)
}

// shares tells whether a plugin may come to read the weights: a library has been lent, or the control socket may name
// one. They are then in memory that it can map; else it would need a copy.
func (l launch) shares() bool {
	return l.kernels.control != "" || slices.ContainsFunc(kernels.Variants(), func(v kernels.Variant) bool { return kernels.Lent(v.Name) })
}

// stored is the configuration of the files.
func (l launch) stored() model.Config {
	if l.overlay == nil {
		return l.config
	}
	return l.files
}

// wants is what has to be there of the files, before any overlay.
func (l launch) wants() load.Need {
	switch {
	case l.need == nil:
		return load.All
	case l.overlay != nil:
		return load.BeforeOverlay(l.overlay, l.need)
	}
	return l.need
}

// load opens a model's files, applies an overlay, and repacks its matrices if that is wanted.
func (p *program) load(ctx context.Context, o *opened, files fs.FS, l launch, opt ckpt.Options) (r load.Repacked, err error) {
	opt.SkipInt8 = l.repacks() && !ckpt.HasPacked(files)
	open := func() error {
		report, end := p.progress("loading", inBytes)
		defer end()
		opt.Progress = report
		if o.Model, err = l.open(ctx, files, opt); err != nil {
			return err
		}
		return p.operate(ctx, o.Model, l.rearranged, load.WorkOptions{Workers: l.repackThreads(), Memory: l.memory})
	}
	if err := open(); err != nil || !opt.SkipInt8 {
		return r, err
	}
	r, done, err := p.repack(ctx, o.Model, l)
	if err == nil && done {
		return r, nil
	}
	err = errors.Join(err, o.Model.Close())
	if err == nil { // without repacking: again, with all pages
		opt.SkipInt8 = false
		err = open()
	}
	return load.Repacked{}, err
}
