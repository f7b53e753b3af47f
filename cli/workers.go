package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/stages/place"
)

// workerFlags put parts of the pipeline on other hosts.
func workerFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "workers", Usage: "`LIST` of workers that share the layers: a:7000,b:7000 (troupe worker)", DefaultText: "none", Category: workersCategory},
		&cli.StringFlag{Name: "spares", Usage: "`LIST` of workers that take over when others are lost", DefaultText: "none", Category: workersCategory},
		&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` where workers answer", DefaultText: "the address that faces them, a free port", Category: workersCategory},
		&cli.StringFlag{Name: "on-loss", Value: actors.WaitOnLoss.String(), Usage: "`WHAT` requests do when no device can take what was lost with a worker: wait until one can, or fail with the reason", Category: workersCategory},
		silenceFlag("a worker"),
		advertiseFlag(),
	}, linkFlags(workersCategory)...)
}

// silenceFlag is for both sides of a connection.
func silenceFlag(of string) cli.Flag {
	return &cli.StringFlag{Name: "silence", Value: "3s", Usage: "`TIME` without a sign of life after which " + of + " is taken for lost", Category: workersCategory}
}

// mostSilence bounds --silence.
const mostSilence = time.Hour

func readSilence(c *cli.Context) (time.Duration, error) {
	d, err := time.ParseDuration(c.String("silence"))
	if err != nil || d < 10*time.Millisecond || d > mostSilence {
		return 0, badFlag("silence", fmt.Errorf("%q, want 10ms to 1h, as in 3s", c.String("silence")))
	}
	return d, nil
}

// readLosses reads --on-loss and --silence.
func (l *launch) readLosses(c *cli.Context) (err error) {
	if l.onLoss, err = actors.ParseOnLoss(c.String("on-loss")); err != nil {
		return badFlag("on-loss", err)
	}
	l.silence, err = readSilence(c)
	return err
}

// company is what workers have for a run. A nil company is a run without.
type company struct {
	net     *actors.Net
	devices []place.Device
	hosts   []place.Host // of the devices
	spares  []place.Device
}

func (w *company) close() {
	if w != nil {
		closeNet(w.net)
	}
}

// readWorkers asks the workers of a run what they have.
func (p *program) readWorkers(c *cli.Context) (w *company, err error) {
	named, err := addresses(c, "workers")
	if err != nil {
		return nil, err
	}
	spare, err := addresses(c, "spares")
	if err != nil || named == nil && spare == nil {
		return nil, err
	}
	if both := slices.IndexFunc(named, func(a string) bool { return slices.Contains(spare, a) }); both >= 0 {
		return nil, usagef("%s is among --workers and --spares: give it once", named[both])
	}
	w = &company{}
	if w.net, err = p.openNet(c, facing(c, slices.Concat(named, spare)[0]), false, "workers", slices.Concat(named, spare)...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
			w = nil
		}
	}()
	if w.devices, w.hosts, err = survey(c.Context, w.net, named, false); err != nil {
		return w, err
	}
	w.spares, _, err = survey(c.Context, w.net, spare, false)
	return w, err
}

// reachHosts opens the way to hosts that a placement names, where no flag has.
func (p *program) reachHosts(c *cli.Context, l *launch) (err error) {
	var hosts []string
	for _, d := range l.placement.all() {
		if d.Host != "" {
			hosts = append(hosts, d.Host)
		}
	}
	if hosts == nil || l.workers != nil {
		return nil
	}
	l.workers = &company{}
	l.workers.net, err = p.openNet(c, facing(c, hosts[0]), false, "placement", hosts...)
	if err != nil {
		l.workers = nil
	}
	return err
}

// addresses reads a list of HOST:PORT.
func addresses(c *cli.Context, flag string) (list []string, err error) {
	if c.String(flag) == "" {
		return nil, nil
	}
	for a := range strings.SplitSeq(c.String(flag), ",") {
		a = strings.TrimSpace(a)
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return nil, badFlag(flag, fmt.Errorf("%q is not HOST:PORT", a))
		}
		if slices.Contains(list, a) {
			return nil, badFlag(flag, fmt.Errorf("%s stands twice", a))
		}
		list = append(list, a)
	}
	return list, nil
}

// facing is where this side listens for workers: --listen, or the address from which the first one is reached.
func facing(c *cli.Context, worker string) string {
	if listen := c.String("listen"); listen != "" {
		return listen
	}
	conn, err := net.Dial("udp", worker) // sends nothing
	if err != nil {
		return "127.0.0.1:0"
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort(host, "0")
}

// survey asks workers for their devices, all at once. busy: those that serve a run are welcome too.
func survey(ctx context.Context, n *actors.Net, list []string, busy bool) (devices []place.Device, hosts []place.Host, err error) {
	offers, errs := make([]actors.Offer, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	for i, a := range list {
		wg.Go(func() { offers[i], errs[i] = actors.Survey(ctx, n, a) })
	}
	wg.Wait()
	for i, o := range offers {
		if errs[i] != nil {
			return nil, nil, errs[i]
		}
		if o.Serves != "" && !busy {
			return nil, nil, fmt.Errorf("worker %s serves %s: end that run, or name another worker", o.Address, o.Serves)
		}
		hosts = append(hosts, place.Host{Address: o.Address, Link: place.Link{Latency: o.RoundTrip.Seconds() / 2}})
		for _, d := range o.Devices {
			d.Device.Bandwidth, d.Device.Flops = d.Bandwidth, d.Flops
			devices = append(devices, d.Device)
		}
	}
	return devices, hosts, nil
}
