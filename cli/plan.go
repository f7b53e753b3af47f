package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/model"
	"troupe/placement"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
)

func (p *program) planCommand() *cli.Command {
	const category = "Devices and load"
	return &cli.Command{
		Name: "plan", Usage: "what fits where, without any weights",
		Description: `Counts what a model takes on devices, with the arithmetic of the loader, and
says what would fit where not all does. Devices need not be here: a name,
threads and memory describe them, as in 8xgpu@80GB or cpu:64@512GB, and an
address before it the worker that has it, as in a:7000=2xcpu:8@64GB. Where
devices state what they read a second, or --measure finds it out, tokens a
second are predicted. With
--overlay every expert counts, as if it were converted: copies, which share
memory, too. --simulate has the engine itself run the load, under a virtual
clock, and says how long tokens take and what they wait for.

troupe plan --preset grok-1 --devices 8xgpu@80GB --bandwidth 3.35TB
troupe plan --preset grok-1 --num-layers 16 --devices cpu@128GB --json
troupe plan --devices cpu:1,cpu:2 --placement auto --explain
troupe plan --devices cpu,cpu --write-placement two.yaml
troupe plan --devices a:7000=cpu,b:7000=cpu --bandwidth 20GB --link 1ms/1Gbit
troupe plan --devices a:7000=cpu --bandwidth 20GB --link 1ms/1Gbit --simulate`,
		Flags: append([]cli.Flag{
			modelFlag(), overlayFlag(""),
			jsonFlag("print one JSON object"),
			devicesFlag(category, "`LIST` of devices, a stage each"),
			&cli.StringFlag{Name: "expert-devices", Usage: "`LIST` of devices for experts alone", DefaultText: "none", Category: category},
			placementFlag(category),
			&cli.BoolFlag{Name: "explain", Usage: "say of every stage and expert where it lives, what it takes, and why", Category: category},
			&cli.StringFlag{Name: "write-placement", Usage: "`FILE` to write the placement to, for --placement; - is standard output, without the report", TakesFile: true, Category: category},
			&cli.IntFlag{Name: "stages", Usage: "layer groups in the pipeline", DefaultText: "one a device", Category: category},
			&cli.StringFlag{Name: "arith", Value: "int8", Usage: "`NAME` arithmetic: exact (float32 cache), int8 or reference (bfloat16 cache)", Category: category},
			&cli.IntFlag{Name: "max-batch", Value: 1, Usage: "requests that run at a time", Category: category},
			&cli.IntFlag{Name: "context", Usage: "positions of each in the cache", DefaultText: "sequence_len", Category: category},
			&cli.IntFlag{Name: "prefill-chunk", Value: defaultRows, Usage: "most tokens computed at a time", Category: category},
			&cli.BoolFlag{Name: "stage-journal", Value: true, Usage: "keep what passes between stages, as run does", Category: category},
			replicasFlag(category),
			expertsFlag(category),
		}, slices.Concat(speedFlags("Speed"), planWorkersFlags(), simulateFlags("Simulation"), configFlags("the model of -m, or demo if a flag changes it"))...),
		Action: p.plan,
	}
}

// planned is all that a plan says.
type planned struct {
	name   string
	config model.Config
	placed
	quantities place.Quantities
	context    int // positions a sequence
	arith      kernels.Arith
	policy     router.Policy
	rates      rates
	forecasts  bool // speeds are stated, or asked for

	bytes int64 // of the checkpoint
	files int
}

func (p *program) plan(c *cli.Context) error {
	var pl planned
	var err error
	if c.IsSet("preset") || configured(c) {
		if c.IsSet("model") {
			return usagef("--model and flags of the configuration: give one of them")
		}
		if c.IsSet("overlay") {
			return usagef("--overlay and flags of the configuration: an overlay changes the model of --model")
		}
		err = pl.ofConfig(c)
	} else {
		err = pl.ofDirectory(c.Context, c.String("model"), c.String("overlay"))
	}
	if err != nil {
		return err
	}
	file, err := readPlacementFile(c)
	if err != nil {
		return err
	}
	if err := pl.readLoad(c, file); err != nil {
		return err
	}
	workers, err := p.surveyForPlan(c, file)
	if err != nil {
		return err
	}
	if pl.placed, err = placeModel(c, file, pl.config, &pl, workers); err != nil {
		return err
	}
	if pl.forecasts = pl.rates.stated(pl.all()); !pl.forecasts && (c.Bool("explain") || c.Bool("simulate")) && len(pl.rates.bandwidth) > 0 {
		pl.forecasts = true
		all := pl.all() // one bandwidth for all: the placement does not depend on it
		if _, err := pl.fill(c.Context, all, nil); err != nil {
			return err
		}
		pl.setDevices(all)
	}
	if file := c.String("write-placement"); file != "" {
		if err := p.writePlacement(file, &pl); err != nil || file == "-" {
			return err
		}
	}
	r := pl.reports(c.Bool("explain"))
	if r.Simulated, err = p.simulate(c, &pl); err != nil {
		return err
	}
	if c.Bool("json") {
		return writeJSON(p.out, r)
	}
	return r.print(p)
}

// ofConfig plans for a configuration without a checkpoint.
func (pl *planned) ofConfig(c *cli.Context) (err error) {
	if pl.config, err = readConfig(c, newBase); err != nil {
		return err
	}
	if pl.name = c.String("preset"); pl.name == "" {
		pl.name = newBase
	}
	if configured(c) {
		pl.name += ", changed"
	}
	return pl.count()
}

// count is what a checkpoint of the configuration would take.
func (pl *planned) count() (err error) {
	list := sources(pl.config, 0, true)
	pl.files = len(list)
	pl.bytes, _, err = checkpointBytes(list)
	return err
}

// ofDirectory plans for a model directory; its checkpoint, if it is there, says how tensors are stored. With an
// overlay all experts are counted as if they were copies, which is what a converted model takes.
func (pl *planned) ofDirectory(ctx context.Context, path, overlay string) error {
	dir, err := modelDir(path)
	if err != nil {
		return err
	}
	var r rearranged
	if pl.config, r, err = dir.rearrange(ctx, overlay); err != nil {
		return err
	}
	pl.name = dir.name
	if r.overlay != nil {
		pl.name += ", with --overlay"
	}
	packed := ckpt.HasPacked(dir)
	if _, err := fs.Stat(dir, "ckpt-0"); errors.Is(err, fs.ErrNotExist) && !packed {
		return pl.count()
	}
	headers, err := load.Scan(ctx, dir, r.files, ckpt.Options{})
	if err != nil {
		return dir.blame(err)
	}
	tensors := model.Tensors(pl.config)
	if len(headers) != len(tensors) {
		return dir.blame(fmt.Errorf("%d files, want %d for this configuration: troupe inspect tells more", len(headers), len(tensors)))
	}
	stored := map[string]place.Stored{}
	for i, h := range headers {
		stored[tensors[i].Name] = place.Stored{Groups: h.Groups, Panels: packed}
		pl.bytes += h.Bytes
	}
	pl.files = len(headers)
	if info, err := fs.Stat(dir, ckpt.PackedName); err == nil {
		pl.files, pl.bytes = 1, info.Size() // with its header and padding
	}
	pl.quantities.Storage = func(t model.Tensor) place.Stored { return stored[t.Name] }
	return nil
}

// readLoad reads what the model is asked to do.
func (pl *planned) readLoad(c *cli.Context, file *placement.File) (err error) {
	if pl.arith, err = kernels.ParseArith(c.String("arith")); err != nil {
		return badFlag("arith", err)
	}
	if pl.policy, err = readExperts(c, pl.config); err != nil {
		return err
	}
	if pl.rates, err = readRates(c); err != nil {
		return err
	}
	pl.context = pl.config.SequenceLen
	if c.IsSet("context") {
		if pl.context, err = intWithin(c, "context", 1<<30); err != nil {
			return err
		}
	}
	rows, err := intWithin(c, "prefill-chunk", maxRows)
	if err != nil {
		return err
	}
	sequences, err := readMaxBatch(c, file)
	if err != nil {
		return err
	}
	blocks := sequences * ((pl.context + kernels.BlockTokens - 1) / kernels.BlockTokens)
	pl.quantities.Cache = stages.CacheSize{Blocks: blocks, Half: stages.HalfCache(pl.arith)}
	pl.quantities.Journal = c.Bool("stage-journal")
	pl.quantities.Head = stages.HeadBytes(pl.config, pl.arith)
	pl.quantities.Limits = stages.Limits{Rows: rows, Draws: sequences, Sequences: sequences, Experts: pl.config.Model.NumExperts}
	return nil
}
