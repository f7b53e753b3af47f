package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/bench"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages/place"
)

// speedFlags say how fast devices and links are.
func speedFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bandwidth", Usage: "`RATE` bytes a second that a device reads, as 3.35TB, or one for each device: it bounds the tokens a second", Category: category},
		&cli.StringFlag{Name: "flops", Usage: "`RATE` operations a second of a device in prefill, as 400T, or one for each device", Category: category},
		&cli.StringFlag{Name: "link", Usage: "`LATENCY/RATE` of the way to a host, one way, as 0.2ms/10Gbit, or one for each host", DefaultText: "as if it cost nothing", Category: category},
		&cli.BoolFlag{Name: "measure", Usage: "measure how fast the devices of this machine read and multiply", Category: category},
	}
}

// rates is what flags say of speeds.
type rates struct {
	bandwidth, flops []float64    // one for all devices, or one each
	links            []place.Link // likewise of hosts
	measure          bool
	measured         []string // what was, for people
}

// readRates reads the flags of speeds.
func readRates(c *cli.Context) (r rates, err error) {
	if r.bandwidth, err = readRateList(c, "bandwidth", place.ParseRate); err != nil {
		return r, err
	}
	if r.flops, err = readRateList(c, "flops", place.ParseFlops); err != nil {
		return r, err
	}
	r.links, err = readRateList(c, "link", place.ParseLink)
	r.measure = c.Bool("measure")
	return r, err
}

func readRateList[T any](c *cli.Context, name string, parse func(string) (T, error)) (list []T, err error) {
	if c.String(name) == "" {
		return nil, nil
	}
	for field := range strings.SplitSeq(c.String(name), ",") {
		v, err := parse(strings.TrimSpace(field))
		if err != nil {
			return nil, badFlag(name, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// stated tells whether more is said than one bandwidth of all devices, which bounds the tokens a second and no more.
func (r *rates) stated(devices []place.Device) bool {
	return len(r.bandwidth) > 1 || len(r.flops) > 0 || len(r.links) > 0 || r.measure ||
		slices.ContainsFunc(devices, func(d place.Device) bool { return d.Host != "" || d.Bandwidth > 0 || d.Flops > 0 })
}

// fill gives devices the speeds that they do not state themselves, and returns the hosts, known ones and those of devices,
// with the links of the flags.
func (pl *planned) fill(ctx context.Context, devices []place.Device, known []place.Host) (hosts []place.Host, err error) {
	r := &pl.rates
	for i := range devices {
		d := &devices[i]
		if err := share(&d.Bandwidth, r.bandwidth, i, len(devices), "bandwidth", "devices"); err != nil {
			return nil, err
		}
		if err := share(&d.Flops, r.flops, i, len(devices), "flops", "devices"); err != nil {
			return nil, err
		}
	}
	hosts = slices.Clone(known)
	var addresses []string
	for _, d := range devices {
		if d.Host != "" && !slices.Contains(addresses, d.Host) {
			addresses = append(addresses, d.Host)
		}
	}
	if len(addresses) == 0 && len(r.links) > 0 {
		return nil, badFlag("link", fmt.Errorf("no device is on another host: name one in --devices, as a:7000=cpu"))
	}
	for i, a := range addresses {
		at := slices.IndexFunc(hosts, func(h place.Host) bool { return h.Address == a })
		if at < 0 {
			at, hosts = len(hosts), append(hosts, place.Host{Address: a})
		}
		if err := share(&hosts[at].Link, r.links, i, len(addresses), "link", "hosts"); err != nil {
			return nil, err
		}
	}
	if r.measure {
		return pl.measure(ctx, devices, hosts)
	}
	return hosts, nil
}

// share sets what is not stated by a list of one for all, or one each.
func share[T comparable](v *T, list []T, i, n int, flag, of string) error {
	var none T
	switch {
	case len(list) == 0:
	case len(list) != 1 && len(list) != n:
		return badFlag(flag, fmt.Errorf("%d, want one, or one for each of the %d %s", len(list), n, of))
	case *v == none && len(list) == 1:
		*v = list[0]
	case *v == none:
		*v = list[i]
	}
	return nil
}

// measure fills in what this machine's cpu devices reach, each alone and all together.
func (pl *planned) measure(ctx context.Context, devices []place.Device, hosts []place.Host) ([]place.Host, error) {
	v, err := kernels.Find("")
	if err != nil {
		return nil, err
	}
	var all kernels.Threads
	shape, rows := expertShape(pl.config, pl.quantities.Storage, pl.quantities.Limits.Rows*pl.most(0))
	prober := bench.NewProber(v, pl.arith, shape, rows)
	here, flops := 0, 0.
	for i := range devices {
		d := &devices[i]
		if d.Host != "" || d.Name != "cpu" {
			continue
		}
		t := d.KernelThreads()
		if t.Decode == 0 {
			return nil, badFlag("measure", fmt.Errorf("device %d states no threads: want them, as cpu:2", i))
		}
		s, err := prober.Speed(ctx, t)
		if err != nil {
			return nil, err
		}
		if d.Bandwidth == 0 {
			d.Bandwidth = s.Read
		}
		if d.Flops == 0 {
			d.Flops = 2 * s.Multiply
		}
		all.Decode, all.Prefill, here = all.Decode+t.Decode, all.Prefill+t.Prefill, here+1
		flops += 2 * s.Multiply
		pl.rates.measured = append(pl.rates.measured, fmt.Sprintf("device %d, %s: reads %s/s, %s operations/s in %s", i, plural(t.Decode, "thread"), place.FormatRate(s.Read), place.FormatFlops(2*s.Multiply), v.Name))
	}
	if here == 0 {
		return nil, badFlag("measure", fmt.Errorf("no cpu device of this machine to measure"))
	}
	if here > 1 {
		s, err := prober.Speed(ctx, all)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(hosts, func(h place.Host) bool { return h.Address == "" })
		if at < 0 {
			at, hosts = len(hosts), append(hosts, place.Host{})
		}
		hosts[at].Bandwidth = s.Read
		if cores := runtime.GOMAXPROCS(0); all.Prefill > cores { // they take turns; else each has a core of its own
			hosts[at].Flops = flops * float64(cores) / float64(all.Prefill)
		}
		pl.rates.measured = append(pl.rates.measured, fmt.Sprintf("all %s together: read %s/s", plural(all.Decode, "thread"), place.FormatRate(s.Read)))
	}
	return hosts, nil
}

// expertShape is that of an expert of the first layer, as it is stored, and the rows that it gets of so many choices.
func expertShape(c model.Config, stored place.Storage, choices int) (s bench.Shape, rows int) {
	for _, t := range model.Tensors(c) {
		if n := len(t.Shape); t.Layer == 0 && n == 3 && t.Shape[0] == c.Model.NumExperts && t.Shape[2] == c.Model.EmbSize {
			s = bench.Shape{In: t.Shape[2], Out: t.Shape[1]}
			switch {
			case stored != nil:
				s.Groups = stored(t).Groups
			case len(t.Int8) > 0:
				s.Groups = t.Int8[len(t.Int8)-1]
			}
			s.Float = s.Groups == 0
		}
	}
	return s, max(1, choices/c.Model.NumExperts)
}
