package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/internal/load"
	"troupe/kernels"
	"troupe/model"
	"troupe/placement"
	"troupe/stages"
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

// maxReplicas bounds --replicas.
const maxReplicas = 64

func replicasFlag(category string) cli.Flag {
	return &cli.IntFlag{Name: "replicas", Value: 1, Category: category,
		Usage: "pipelines of their own that the devices are dealt over, in order; a request goes to the one with the least to do"}
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
	// others are the replicas besides the first, each with devices of its own.
	others []placed
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
	for _, other := range []string{"devices", "expert-devices", "stages", "replicas", "workers"} {
		if c.IsSet(other) && (other != "workers" || c.String(other) != "") {
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

// placeModel places a model by a file, or by --devices, --expert-devices, --stages, --replicas and --placement. For a plan,
// which says what a strategy counts with, devices need not be here; without one (nil) it is to be run on this machine.
func placeModel(c *cli.Context, f *placement.File, config model.Config, pl *planned, workers *company) (p placed, err error) {
	if f != nil {
		plans, why, err := f.Replicas(config)
		if err != nil {
			return p, badFlag("placement", err)
		}
		all := make([]placed, len(plans))
		for i := range plans {
			all[i] = placed{Plan: plans[i], why: why[i], file: f}
		}
		return settle(c, all, pl)
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
	all := slices.Concat(devices, wishes.ExpertDevices)
	if pl == nil {
		if all, err = withThreads(c, all); err != nil {
			return p, err
		}
		wishes.Traffic = place.Traffic{Streams: c.Int("max-batch")}
	}
	devices, wishes.ExpertDevices = all[:len(devices):len(devices)], all[len(devices):]
	if workers != nil && workers.devices != nil {
		if !c.IsSet("devices") {
			devices = nil // the workers' are enough
		}
		devices, wishes.Hosts = append(devices, workers.devices...), workers.hosts
	}
	if pl == nil {
		return placeReplicas(c, config, evenFooted(devices), wishes)
	}
	wishes.Load, wishes.Traffic = pl.quantities, pl.traffic()
	if len(devices) > 1 {
		wishes.Load.Batches = len(devices) + 1 // as actors.Start does, a stage on each
	}
	all = slices.Concat(devices, wishes.ExpertDevices)
	if pl.rates.stated(all) {
		if wishes.Hosts, err = pl.fill(c.Context, all, wishes.Hosts); err != nil {
			return p, err
		}
	}
	devices, wishes.ExpertDevices = all[:len(devices):len(devices)], all[len(devices):]
	return placeReplicas(c, config, devices, wishes)
}

// evenFooted are devices that a run compares by their threads, unless the speed of all is known.
func evenFooted(devices []place.Device) []place.Device {
	if !slices.ContainsFunc(devices, func(d place.Device) bool { return d.Bandwidth == 0 }) {
		return devices
	}
	devices = slices.Clone(devices)
	for i := range devices {
		devices[i].Bandwidth, devices[i].Flops = 0, 0
	}
	return devices
}

// placeReplicas deals the devices over the replicas of --replicas, in order, and places the model on each share.
func placeReplicas(c *cli.Context, config model.Config, devices []place.Device, wishes place.Options) (p placed, err error) {
	n := 1
	if c.IsSet("replicas") {
		if n, err = intWithin(c, "replicas", maxReplicas); err != nil {
			return p, err
		}
	}
	if len(devices)%n != 0 || len(wishes.ExpertDevices)%n != 0 {
		return p, badFlag("replicas", fmt.Errorf("%d, and there are %d devices, %d of them for experts alone: want a multiple of each, as every replica has devices of its own",
			n, len(devices)+len(wishes.ExpertDevices), len(wishes.ExpertDevices)))
	}
	experts := wishes.ExpertDevices
	for i := range n {
		share := wishes
		share.ExpertDevices = experts[i*len(experts)/n : (i+1)*len(experts)/n]
		var one placed
		if one.Plan, err = place.Make(config, devices[i*len(devices)/n:(i+1)*len(devices)/n], share); err != nil {
			return p, &usageError{err: err}
		}
		one.why = share.Reasons(config, one.Plan)
		if i == 0 {
			p = one
		} else {
			p.others = append(p.others, one)
		}
	}
	return p, nil
}

// settle gives the devices of a file's replicas what the file does not say of them: for a plan their speeds, else threads.
func settle(c *cli.Context, all []placed, pl *planned) (p placed, err error) {
	var devices []place.Device
	for _, one := range all {
		devices = append(devices, one.Devices...)
	}
	hosts := all[0].file.Hosts
	switch {
	case pl == nil:
		devices, err = withThreads(c, devices)
	case pl.rates.stated(devices):
		hosts, err = pl.fill(c.Context, devices, hosts)
	}
	if err != nil {
		return p, err
	}
	for i := range all {
		n := len(all[i].Devices)
		all[i].Devices, devices = devices[:n:n], devices[n:]
		all[i].Know(hosts)
	}
	p = all[0]
	p.others = all[1:]
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

// here is what this process computes with.
func (p placed) here(c model.Config) load.Need {
	var spans []stages.Span
	plans := p.plans()
	for _, plan := range plans {
		for _, s := range plan.Stages {
			if plan.Devices[s.Device].Host == "" {
				spans = append(spans, s.Span)
			}
		}
	}
	return load.NeedOf(c, spans, func(layer, expert int) bool {
		return slices.ContainsFunc(plans, func(plan place.Plan) bool { return plan.Devices[plan.Experts[layer][expert]].Host == "" })
	})
}

// tellPlacement warns of a file that asks for more threads than there are cores, and says what its mesh has become.
func (p *program) tellPlacement(l placed) {
	for i, d := range l.Spare {
		p.notice("%s has no layers: %s", d, l.why.Spare[i])
	}
	if l.file == nil {
		return
	}
	for _, note := range l.file.Notes() {
		p.logs.part("cli").Info(note)
	}
	var sum kernels.Threads
	for _, d := range l.all() {
		t := d.KernelThreads()
		sum.Decode, sum.Prefill = sum.Decode+t.Decode, sum.Prefill+t.Prefill
	}
	if n, cores := max(sum.Decode, sum.Prefill), runtime.GOMAXPROCS(0); n > cores {
		p.logs.part("cli").Warn(fmt.Sprintf("%s: %d threads on %d cores: devices that compute at the same time wait for each other; give their threads fewer", l.file.Name, n, cores))
	}
}

// away tells whether any device is on another host.
func (l placed) away() bool {
	return slices.ContainsFunc(l.all(), func(d place.Device) bool { return d.Host != "" })
}

// all are the devices of all replicas.
func (l placed) all() []place.Device {
	list := slices.Clone(l.Devices)
	for _, other := range l.others {
		list = append(list, other.Devices...)
	}
	return list
}

// plans are those of all replicas.
func (l placed) plans() []place.Plan {
	list := []place.Plan{l.Plan}
	for _, other := range l.others {
		list = append(list, other.Plan)
	}
	return list
}

// writePlacement writes the placement of a plan as a file to edit.
func (p *program) writePlacement(name string, pl *planned) error {
	raw, err := placement.WriteReplicas(pl.plans(), "Where the layers and experts of "+pl.name+" live: troupe run --placement FILE.yaml")
	if err != nil {
		return err
	}
	return p.toFile(name, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}
