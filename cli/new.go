package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/ckpt"
	"troupe/model"
)

// newBase is the preset that --num-layers and its like change when no other is named.
const newBase = "demo"

func (p *program) newCommand() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "write a synthetic checkpoint of any configuration",
		Description: `Writes config.json and ckpt-0 in Grok-1's format, with random weights: text made
with them means nothing, but all sizes, speeds and failures are real. The same
seed gives the same bytes. What flags do not say, the preset says. There is no
tokenizer: run the model with --tokens and --ids, or copy one that fits.

--sparse writes files of the true sizes without their numbers, which take no
room on disk: enough for inspect and plan, not for run.

troupe new --out tiny --num-layers 2 --emb-size 64 --key-size 16 --seed 7
troupe new --out big --preset bench-memory
troupe new --out grok-1 --preset grok-1 --sparse`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "`DIR` of the new model", TakesFile: true, DefaultText: "required"},
			&cli.Uint64Flag{Name: "seed", Value: 42, Usage: "of the random weights"},
			&cli.BoolFlag{Name: "sparse", Usage: "files of the true sizes, but empty"},
		}, configFlags(newBase)...),
		Action: p.newCheckpoint,
	}
}

func (p *program) newCheckpoint(c *cli.Context) error {
	out := c.String("out")
	if out == "" {
		return usagef("--out: no directory: say where to write")
	}
	config, err := readConfig(c, newBase)
	if err != nil {
		return err
	}
	if err := refuseUsed(out); err != nil {
		return err
	}
	list := sources(config, c.Uint64("seed"), c.Bool("sparse"))
	size, params, err := checkpointBytes(list)
	if err != nil {
		return err
	}
	start := time.Now()
	report, end := p.progress("writing", inBytes)
	err = ckpt.Write(c.Context, out, list, ckpt.Options{Progress: report, Log: p.logs.part("ckpt")})
	end()
	if err != nil {
		return err
	}
	if err := writeConfig(out, config); err != nil {
		return err
	}
	took := time.Since(start)
	p.notice("%s: %d files, %s bytes, %s parameters, written in %s (%s/s); no tokenizer", out, len(list), thousands(size), thousands(params),
		seconds(took), humanBytes(perSecond(size, took)))
	return nil
}

// refuseUsed lets a directory be that is not there or has nothing in it.
func refuseUsed(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s: not empty (%s): choose a new directory", dir, entries[0].Name())
	}
	return nil
}

// writeConfig writes config.json, whole or not at all.
func writeConfig(dir string, c model.Config) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := createFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	return f.finish(err)
}
