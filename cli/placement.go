package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
	"troupe/model"
	"troupe/placement"
	"troupe/stages/place"
)

// maxPlacement bounds a placement file as it is read; the parser has a bound of its own.
const maxPlacement = 1 << 20

func devicesFlag(category, usage string) cli.Flag {
	return &cli.StringFlag{Name: "devices", Value: "cpu", Usage: usage, Category: category}
}

func placementFlag(category string) cli.Flag {
	return &cli.StringFlag{Name: "placement", DefaultText: "local", TakesFile: true, Category: category,
		Usage: "`NAME` where layers and experts live: " + strategyNames() + "; or a FILE.yaml that says it (troupe plan --write-placement)"}
}

func strategyNames() string {
	var names []string
	for _, s := range place.Strategies() {
		names = append(names, s.Name+" ("+s.Doc+")")
	}
	return strings.Join(names, ", ")
}

func checkStrategy(name string) error {
	var names []string
	for _, s := range place.Strategies() {
		names = append(names, s.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	return badFlag("placement", fmt.Errorf("%q unknown, want one of %s, or a FILE.yaml%s", name, strings.Join(names, ", "), didYouMean("", name, names)))
}

// placed is where a model lives, and why.
type placed struct {
	place.Plan
	why  place.Reasons
	file *placement.File // nil: placed by flags
}

// isFile tells the name of a placement file from that of a strategy.
func isFile(name string) bool {
	return strings.ContainsAny(name, `/\`) || slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(name)))
}

// readPlacementFile reads the file of --placement; nil where it names a strategy.
func readPlacementFile(c *cli.Context) (*placement.File, error) {
	name := c.String("placement")
	if !isFile(name) {
		return nil, nil
	}
	for _, other := range []string{"devices", "expert-devices", "stages"} {
		if c.IsSet(other) {
			return nil, usagef("--placement %s and --%s: the file says it: give one of them", name, other)
		}
	}
	raw, err := readAtMost(c.Context, name, maxPlacement)
	if err != nil {
		return nil, badFlag("placement", err)
	}
	f, err := placement.Parse(name, raw)
	if err != nil {
		return nil, badFlag("placement", err)
	}
	return &f, nil
}

// readMaxBatch reads --max-batch; the data axis of a placement file multiplies its default.
func readMaxBatch(c *cli.Context, f *placement.File) (int, error) {
	n, err := intWithin(c, "max-batch", maxRows)
	if err == nil && f != nil && !c.IsSet("max-batch") {
		n = min(n*f.Sequences(), maxRows)
	}
	return n, err
}

// placeModel places a model by a file, or by --devices, --expert-devices, --stages and --placement. With a load, which
// is what a strategy counts with, devices need not be here; without one (nil) the plan is to be run on this machine.
func placeModel(c *cli.Context, f *placement.File, config model.Config, load *place.Quantities) (p placed, err error) {
	p.file = f
	if f != nil {
		if p.Plan, p.why, err = f.Place(config); err != nil {
			return p, badFlag("placement", err)
		}
		if load == nil {
			p.Devices, err = withThreads(c, p.Devices)
		}
		return p, err
	}
	devices, err := place.ParseDevices(c.String("devices"))
	if err != nil {
		return p, badFlag("devices", err)
	}
	if err := checkStrategy(c.String("placement")); err != nil {
		return p, err
	}
	wishes := place.Options{Stages: c.Int("stages"), Strategy: c.String("placement")}
	if list := c.String("expert-devices"); list != "" {
		if wishes.ExpertDevices, err = place.ParseDevices(list); err != nil {
			return p, badFlag("expert-devices", err)
		}
	}
	if c.IsSet("stages") && wishes.Stages < 1 {
		return p, badFlag("stages", fmt.Errorf("%d, want 1 or more", wishes.Stages))
	}
	if load == nil {
		all, err := withThreads(c, slices.Concat(devices, wishes.ExpertDevices))
		if err != nil {
			return p, err
		}
		devices, wishes.ExpertDevices = all[:len(devices)], all[len(devices):]
	} else if wishes.Load = *load; len(devices) > 1 {
		wishes.Load.Batches = len(devices) + 1 // as actors.Start does, a stage on each
	}
	if p.Plan, err = place.Make(config, devices, wishes); err != nil {
		return p, &usageError{err: err}
	}
	p.why = wishes.Reasons(config, p.Plan)
	return p, nil
}

// withThreads gives devices that are here their threads.
func withThreads(c *cli.Context, devices []place.Device) ([]place.Device, error) {
	threads, err := readThreads(c)
	if err != nil {
		return nil, err
	}
	all, err := place.Runnable(devices, threads)
	if err != nil {
		return nil, &usageError{err: err}
	}
	return all, nil
}

// tellPlacement warns of a file that asks for more threads than there are cores, and says what its mesh has become.
func (p *program) tellPlacement(l placed) {
	if l.file == nil {
		return
	}
	for _, note := range l.file.Notes() {
		p.logs.part("cli").Info(note)
	}
	var sum kernels.Threads
	for _, d := range l.Devices {
		t := d.KernelThreads()
		sum.Decode, sum.Prefill = sum.Decode+t.Decode, sum.Prefill+t.Prefill
	}
	if n, cores := max(sum.Decode, sum.Prefill), runtime.GOMAXPROCS(0); n > cores {
		p.logs.part("cli").Warn(fmt.Sprintf("%s: %d threads on %d cores: devices that compute at the same time wait for each other; give their threads fewer", l.file.Name, n, cores))
	}
}

// writePlacement writes the placement of a plan as a file to edit.
func (p *program) writePlacement(name string, pl *planned) error {
	raw, err := placement.Write(pl.Plan, "Where the layers and experts of "+pl.name+" live: troupe run --placement FILE.yaml")
	if err != nil {
		return err
	}
	return p.toFile(name, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}
