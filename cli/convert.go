package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/ckpt"
	"troupe/internal/load"
)

// Containers that convert writes.
const (
	containerPacked = "packed"
	containerXAI    = "xai"
)

func (p *program) convertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "write a model in another container",
		Description: `packed is one file, model.troupe, with every matrix in the order in which the
fastest kernels read it: it is mapped and ready at once, where the pickles of a
released checkpoint are repacked in memory at each start. It is a safetensors
file with checksums, which inspect --verify compares. xai is the released
format: ckpt-0, a pickle for each tensor. Nothing is lost either way: a model
that goes there and back has the bytes it had.

The new directory is complete: configuration and tokenizer are copied. It is
written a few matrices at a time, so that little memory is needed, and gets its
name only when it is whole; the source stays as it is. With --overlay it is the
model that the overlay makes, with a configuration of its own.

troupe convert -m grok-1 --to packed --out grok-1-packed
troupe convert -m grok-1-packed --to xai --out grok-1-again
troupe convert --overlay pruned.json --to packed --out pruned`,
		Flags: []cli.Flag{
			modelFlag(), overlayFlag(""),
			&cli.StringFlag{Name: "to", Usage: "`CONTAINER` packed or xai", DefaultText: "required"},
			&cli.StringFlag{Name: "out", Usage: "`DIR` of the new model", TakesFile: true, DefaultText: "required"},
		},
		Action: p.convert,
	}
}

func (p *program) convert(c *cli.Context) (err error) {
	to, out := c.String("to"), c.String("out")
	switch {
	case to == "":
		return usagef("--to: no container: want packed or xai")
	case to != containerPacked && to != containerXAI:
		return badFlag("to", fmt.Errorf("%q, want packed or xai%s", to, didYouMean("", to, []string{containerPacked, containerXAI})))
	case out == "":
		return usagef("--out: no directory: say where to write")
	}
	dir, err := modelDir(c.String("model"))
	if err != nil {
		return err
	}
	_, r, err := dir.rearrange(c.Context, c.String("overlay"))
	if err != nil {
		return err
	}
	if err := refuseUsed(out); err != nil {
		return err
	}
	start := time.Now()
	opt := ckpt.Options{Log: p.logs.part("ckpt")}
	report, end := p.progress("checking", inBytes)
	opt.Progress = report
	m, err := load.Open(c.Context, dir, r.files, opt)
	end()
	if err == nil {
		err = p.operate(c.Context, m, r, load.WorkOptions{Workers: runtime.GOMAXPROCS(0)})
	}
	if err != nil {
		return dir.blame(err)
	}
	defer closeInto(&err, m.Close)
	if err := p.convertInto(c.Context, m, dir, r, to, out); err != nil {
		return err
	}
	took, size := time.Since(start), m.Bytes()
	p.notice("%s: %s bytes of %s as %s in %s (%s/s)", out, thousands(size), dir.name, to, seconds(took), humanBytes(perSecond(size, took)))
	return nil
}

// convertInto writes the new directory, whole or not at all: the small files first, since the weights get their
// name last.
func (p *program) convertInto(ctx context.Context, m *load.Model, dir directory, r rearranged, to, out string) (err error) {
	_, before := os.Stat(out)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("%s: %w", out, bare(err))
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, name := range made {
			err = errors.Join(err, os.Remove(name))
		}
		if before != nil {
			_ = os.Remove(out) // stays if something else is in it by now
		}
	}()
	for _, name := range []string{"config.json", "tokenizer.model"} {
		file := filepath.Join(out, name)
		err := fs.ErrNotExist
		if name != "config.json" || r.overlay == nil {
			err = copyInto(file, dir, name)
		}
		if errors.Is(err, fs.ErrNotExist) && name == "config.json" {
			err = writeConfig(out, m.Config) // recognised, or another one
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.notice("%s: no tokenizer.model to copy", dir.name)
			continue
		case err != nil:
			return err
		}
		made = append(made, file)
	}
	write := m.WriteXAI
	if to == containerPacked {
		write = m.WritePacked
	}
	report, end := p.progress("converting", inBytes)
	defer end()
	return write(ctx, out, ckpt.Options{Progress: report, Log: p.logs.part("ckpt")})
}

// copyInto copies a small file of a model directory; the error is fs.ErrNotExist where there is none.
func copyInto(file string, dir directory, name string) error {
	src, err := dir.Open(name)
	if err != nil {
		return dir.blame(err)
	}
	defer src.Close()
	dst, err := createFile(file)
	if err != nil {
		return err
	}
	n, err := io.Copy(dst, io.LimitReader(src, maxTokenizer+1))
	if err == nil && n > maxTokenizer {
		err = dir.blame(fmt.Errorf("%s: longer than %d bytes", name, maxTokenizer))
	}
	return dst.finish(err)
}
