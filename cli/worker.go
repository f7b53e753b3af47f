package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/bench"
	"troupe/ckpt"
	"troupe/ckpt/mirror"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/lab"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

const workersCategory = "Workers"

func (p *program) workerCommand() *cli.Command {
	return &cli.Command{
		Name: "worker", Usage: "offer this machine's devices to runs elsewhere",
		Description: `Waits for a run that names it (troupe run --workers HOST:PORT), opens the layers
and experts that the run puts here, and computes them; one run after the other.
It reads only what it computes with, from the same model directory as the run.
With --fetch it needs none: it fetches its part from the head of the run, into a
cache that the next run finds (docs/hosts.md).
Ctrl-C ends it: the run then goes on elsewhere, or waits.

Who comes in must have a certificate of the same authority (troupe help cert);
--insecure does without, on this machine alone.

troupe worker --insecure
troupe worker --insecure --listen 127.0.0.1:7001 --devices cpu:1,cpu:1
troupe worker --listen 10.0.0.2:7000 -m grok-1 --devices cpu:16
troupe worker --listen 10.0.0.3:7000 --fetch --cache /data --cache-limit 100GB`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:7000", Usage: "`HOST:PORT` where runs come in", Category: workersCategory},
			advertiseFlag(),
			&cli.StringFlag{Name: "data-listen", Usage: "`HOST:PORT` where runs bring their batches", DefaultText: "a free port of --listen's host", Category: workersCategory},
			&cli.StringFlag{Name: "data-advertise", Usage: "`HOST:PORT` by which runs reach --data-listen", DefaultText: "as it listens", Category: workersCategory},
			silenceFlag("a run"),
			modelFlag(),
			devicesFlag(engineCategory, "`LIST` of devices to offer: cpu, or cpu:1,cpu:1 with threads, cpu:8@64GB with memory"),
			&cli.IntFlag{Name: "threads", Usage: "threads in all, for devices that state none", DefaultText: "the cores, less one from 8 on", Category: engineCategory},
			&cli.IntFlag{Name: "threads-prefill", Usage: "the same, for batches of many rows", DefaultText: "as --threads", Category: engineCategory},
			&cli.StringFlag{Name: "kernels", Usage: "`BINDING` of ops to kernel libraries", DefaultText: "as the run has it", Category: kernelsCategory},
			&cli.BoolFlag{Name: "measure", Value: true, Usage: "measure what the devices read and multiply, for plans and placements that ask", Category: engineCategory},
			repackFlag(),
			overlayFlag(engineCategory),
			&cli.BoolFlag{Name: "shm", Usage: "copy what is computed with into /dev/shm first; programs share one copy, the last removes it", Category: engineCategory},
		}, append(fetchFlags(), append(linkFlags(workersCategory), pluginFlags(kernelsCategory)...)...)...),
		Action: p.worker,
	}
}

func advertiseFlag() cli.Flag {
	return &cli.StringFlag{Name: "advertise", Usage: "`HOST:PORT` by which the other side reaches this one", DefaultText: "as it listens", Category: workersCategory}
}

// offered is what a worker has.
type offered struct {
	launch
	devices  []place.Device
	speeds   []bench.Speed // of each device; 0: not measured
	binding  string
	identity string
	fetch    bool           // the model comes from the head
	cache    mirror.Options // where what is fetched is kept
}

// has is what a worker computes with, for people.
func (o offered) has() string {
	switch {
	case o.fetch && o.shm:
		return "weights fetched into /dev/shm"
	case o.fetch:
		return "weights fetched into " + o.cache.Dir
	}
	return fmt.Sprintf("%s (%s)", o.dir.name, o.identity)
}

func (p *program) worker(c *cli.Context) error {
	o, err := p.readOffered(c)
	if err != nil {
		return err
	}
	net, err := p.openNet(c, c.String("listen"), true, "listen")
	if err != nil {
		return err
	}
	defer closeNet(net)
	w, err := actors.NewWorker(p.workerOptions(net, o))
	if err != nil {
		return err
	}
	p.notice("listening on %s with %s of %s", net.Address(), counted(len(o.devices), "device", "devices"), o.has())
	<-c.Context.Done()
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return w.Close(ctx, "it was stopped")
}

func (p *program) workerOptions(net *actors.Net, o offered) actors.WorkerOptions {
	w := actors.WorkerOptions{Net: net, Build: readBuild().protocol(), Binding: o.binding, Log: p.logs.plain("actors"), Silence: o.silence,
		Told: func(text string) { p.notice("%s", text) }}
	if o.fetch {
		w.Fetch = p.fetcher(o)
	} else {
		w.Model, w.Identity, w.Load = o.config, o.identity, p.loader(o.launch)
	}
	for i, d := range o.devices {
		w.Devices = append(w.Devices, actors.Offered{Device: d, Bandwidth: o.speeds[i].Read, Flops: 2 * o.speeds[i].Multiply})
	}
	return w
}

// protocol is the version that both sides must share: results are equal only where the code is. A program of no known
// commit is known by its bytes.
func (b build) protocol() string {
	if b.Version != unversioned && b.Revision == "" || b.Revision != "" && !b.Modified {
		return strings.TrimSpace(b.Version + " " + b.Revision)
	}
	sum, err := programSum()
	if err != nil {
		return b.String()
	}
	name := b.Version
	if b.Revision != "" {
		name += " " + b.Revision + " with changes"
	}
	return fmt.Sprintf("%s, program %x", name, sum[:6])
}

// programSum is the SHA-256 of this program's file.
var programSum = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
})

func (p *program) readOffered(c *cli.Context) (o offered, err error) {
	o.shm = c.Bool("shm")
	if o.fetch, o.cache, err = p.readFetch(c); err != nil {
		return o, err
	}
	if !o.fetch {
		if o.dir, err = modelDir(c.String("model")); err != nil {
			return o, err
		}
		if o.config, o.rearranged, err = o.dir.rearrange(c.Context, c.String("overlay")); err != nil {
			return o, err
		}
	}
	if o.repack, err = readRepack(c); err != nil {
		return o, err
	}
	devices, err := place.ParseDevices(c.String("devices"))
	if err != nil {
		return o, badFlag("devices", err)
	}
	if o.devices, err = withThreads(c, devices); err != nil {
		return o, err
	}
	o.placement.Devices = o.devices
	if o.host, err = p.readPlugins(c); err != nil {
		return o, err
	}
	o.host.layers = o.config.Model.NumLayers
	if o.silence, err = readSilence(c); err != nil {
		return o, err
	}
	if o.binding = c.String("kernels"); o.binding != "" {
		if o.launch.binding, err = o.host.binding(c.Context, o.binding); err != nil {
			return o, badFlag("kernels", err)
		}
	}
	if !o.fetch {
		if o.identity, err = p.identity(c.Context, o.launch); err != nil {
			return o, err
		}
	}
	o.speeds = make([]bench.Speed, len(o.devices))
	if c.Bool("measure") {
		err = o.measure(c.Context)
	}
	return o, err
}

// measure finds out how fast the devices are, each alone.
func (o *offered) measure(ctx context.Context) error {
	v, err := kernels.Find("")
	if err != nil {
		return err
	}
	config := o.config
	if o.fetch { // what comes is not known yet
		grok1, err := model.FindPreset("grok-1")
		if err != nil {
			return err
		}
		config = grok1.Config
	}
	shape, rows := expertShape(config, nil, defaultRows*config.Model.NumSelectedExperts)
	prober := bench.NewProber(v, kernels.Int8, shape, rows)
	for i, d := range o.devices {
		if o.speeds[i], err = prober.Speed(ctx, d.KernelThreads()); err != nil {
			return err
		}
	}
	return nil
}

// identity names the checkpoint of a launch. It looks at samples: nothing is brought into memory for it.
func (p *program) identity(ctx context.Context, l launch) (name string, err error) {
	m, err := p.whole(ctx, l)
	if err != nil {
		return "", err
	}
	defer closeInto(&err, m.Close)
	return lab.Identity(l.config, m.Weights)
}

// whole opens the whole model to look at. Files are mapped: nothing is brought into memory but what is looked at.
func (p *program) whole(ctx context.Context, l launch) (*load.Model, error) {
	m, err := load.Open(ctx, l.dir, l.stored(), ckpt.Options{Log: p.logs.part("ckpt")})
	if err != nil {
		return nil, l.dir.blame(err)
	}
	if err := p.operate(ctx, m, l.rearranged, load.WorkOptions{Workers: l.repackThreads(), Memory: l.memory}); err != nil {
		return nil, errors.Join(l.dir.blame(err), m.Close())
	}
	return m, nil
}

// loader opens parts of the model of a launch.
func (p *program) loader(l launch) actors.Load {
	return func(ctx context.Context, spans []stages.Span, expert func(layer, expert int) bool) (stages.Weights, func() error, error) {
		part := l
		part.need = load.NeedOf(l.config, spans, expert)
		m, err := p.openModel(ctx, part)
		if err != nil {
			return nil, nil, err
		}
		return m.Weights, m.Close, nil
	}
}

// open opens what a launch needs of a model's files.
func (l launch) open(ctx context.Context, files fs.FS, opt ckpt.Options) (*load.Model, error) {
	if l.need == nil {
		return load.Open(ctx, files, l.stored(), opt)
	}
	return load.OpenPart(ctx, files, l.stored(), l.wants(), opt)
}

// openNet opens the door to other hosts. The peers are those that will be spoken with, as a flag names them.
func (p *program) openNet(c *cli.Context, listen string, worker bool, flag string, peers ...string) (*actors.Net, error) {
	l, err := p.readLink(c)
	if err != nil {
		return nil, err
	}
	for _, a := range peers {
		if err := l.checkPeer(flag, a); err != nil {
			return nil, err
		}
	}
	flag, own := "advertise", c.String("advertise")
	if own == "" {
		flag, own = "listen", listen
	}
	if err := l.checkOwn(flag, own); err != nil {
		return nil, err
	}
	o := actors.NetOptions{Listen: listen, Advertise: c.String("advertise"), Server: l.server, Client: l.client, Worker: worker, Log: p.logs.plain("actors")}
	if o.DataAdvertise = c.String("data-advertise"); o.DataAdvertise != "" {
		if err := l.checkOwn("data-advertise", o.DataAdvertise); err != nil {
			return nil, err
		}
	}
	if o.DataListen = c.String("data-listen"); o.DataListen != "" {
		if err := l.checkDataListen(o.DataListen, o.DataAdvertise != ""); err != nil {
			return nil, err
		}
	}
	return actors.OpenNet(o)
}

// closePatience is how long the end of the program waits for connections to end.
const closePatience = 2 * time.Second

func closeNet(n *actors.Net) {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_ = n.Close(ctx) // what is left ends with the process
}
