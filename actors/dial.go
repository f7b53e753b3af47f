package actors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/link"
	"troupe/actors/internal/wire"
	"troupe/model"
	"troupe/stages/place"
)

// NetOptions say how others are reached.
type NetOptions struct {
	Listen    string // HOST:PORT; port 0 picks a free one
	Advertise string // HOST:PORT by which others reach it; "": as Listen
	// Server and Client are for connections that come in and go out, with certificates on both sides. Both nil is plain
	// text, on loopback alone.
	Server, Client *tls.Config
	Worker         bool // it takes what heads send; else what workers send
	// DataListen is HOST:PORT where a worker takes connections for batches, one from each head. "": a free port of the
	// host of Listen.
	DataListen    string
	DataAdvertise string // HOST:PORT by which heads reach it; "": as it listens
	Log           *slog.Logger
}

// OpenNet opens the door of this process to others. A process has one.
func OpenNet(o NetOptions) (*Net, error) {
	n := &Net{system: newSystem(), lost: map[string]map[*watcher]struct{}{}}
	c := link.Config{Listen: o.Listen, Advertise: o.Advertise, Server: o.Server, Client: o.Client, Lost: n.ended, Log: o.Log,
		Allowed: wire.ToHead(), Targets: headTarget, MaxMessage: maxMessage}
	if o.Worker {
		c.Allowed, c.Targets = wire.ToWorker(), workerTarget
	}
	l, err := link.Start(n.system, c)
	if err != nil {
		n.system.Shutdown()
		return nil, fmt.Errorf("actors: %w", err)
	}
	n.address, n.probe = l.Address(), l.Probe
	server, client := l.Settings()
	n.data.client = client
	n.close = func(ctx context.Context) error {
		err := errors.Join(n.closeDoorway(), l.Stop(ctx))
		n.system.Shutdown()
		return err
	}
	if o.Worker {
		err = n.openDoorway(o, server)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return nil, errors.Join(err, n.close(ctx))
	}
	return n, nil
}

// maxMessage is the largest message; what is longer travels in pieces, of which one row is the least.
const maxMessage = 8 << 20

// checkFits refuses models whose rows do not fit into a message.
func checkFits(c model.Config, plan model.Plan) error {
	for _, s := range plan.Slots {
		if 4*s.Width > maxMessage-wire.Piece {
			return fmt.Errorf("actors: a row of %s has %d values: too many to go to a worker, want at most %d", s.Name, s.Width, (maxMessage-wire.Piece)/4)
		}
	}
	if c.Model.NumExperts > math.MaxInt16 {
		return fmt.Errorf("actors: %d experts: too many for workers", c.Model.NumExperts)
	}
	return nil
}

// headTarget tells which actors of a head workers may send to.
func headTarget(name string) bool {
	return strings.HasPrefix(name, "desk-") || strings.HasPrefix(name, "post-")
}

// workerTarget tells which actors of a worker heads may send to.
func workerTarget(name string) bool { return name == doorName || strings.HasPrefix(name, "crew-") }

// Offer is what a worker has.
type Offer struct {
	Address   string
	Build     string
	Serves    string // head that it serves at the moment; "": none
	Devices   []Offered
	RoundTrip time.Duration // of a small message, the fastest of several
}

// Survey asks a worker what it has.
func Survey(ctx context.Context, n *Net, address string) (Offer, error) {
	h := &host{address: address, net: n, silence: defaultSilence, log: slog.New(slog.DiscardHandler), gone: func(*host, error) {}}
	offer := Offer{Address: address}
	for range surveys {
		w, took, err := h.greet(ctx)
		if err != nil {
			return offer, err
		}
		if offer.RoundTrip == 0 || took < offer.RoundTrip {
			offer.RoundTrip = took
		}
		offer.Build, offer.Serves, offer.Devices = w.Build, w.Serves, nil
		for i, d := range w.Offers {
			offer.Devices = append(offer.Devices, Offered{Bandwidth: d.Bandwidth, Flops: d.Flops,
				Device: place.Device{Name: d.Name, Threads: int(d.Threads), Prefill: int(d.Prefill), Memory: int64(d.Memory), Host: address, Number: i}})
		}
	}
	if len(offer.Devices) == 0 {
		return offer, fmt.Errorf("actors: worker %s: it offers no device", address)
	}
	return offer, nil
}

// surveys is how often a worker is asked, to know how long a message takes.
const surveys = 4

// greeting is a Hello that a worker has answered.
type greeting struct {
	*wire.Welcome
	desk   *deskActor
	pid    *actor.PID
	lost   chan struct{}
	forget func()
	took   time.Duration // from Hello to Welcome
}

// greet says Hello once, without a session.
func (h *host) greet(ctx context.Context) (w *wire.Welcome, took time.Duration, err error) {
	g, err := h.hello(ctx)
	if err != nil {
		return nil, 0, err
	}
	g.forget()
	h.net.system.Root.Stop(g.pid)
	return g.Welcome, g.took, nil
}

// hello says Hello and waits for the answer.
func (h *host) hello(ctx context.Context) (*greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, greetPatience)
	defer cancel()
	if err := h.net.probe(ctx, h.address); err != nil {
		return nil, fmt.Errorf("actors: worker %w", err)
	}
	desk := &deskActor{host: h, welcome: make(chan proto.Message, 1)}
	name := fmt.Sprintf("desk-%d-%x", deskNumber.Add(1), time.Now().UnixNano())
	pid, err := h.net.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return desk }), h.net.name(name))
	if err != nil {
		return nil, fmt.Errorf("actors: worker %s: %w", h.address, err)
	}
	g := &greeting{desk: desk, pid: pid, lost: make(chan struct{}, 1)}
	g.forget = h.net.watch(h.address, func() {
		select {
		case g.lost <- struct{}{}:
		default:
		}
	})
	begin := time.Now()
	h.net.send(h.net.pid(h.address, doorName), &wire.Hello{Protocol: wire.Protocol, Build: h.build, Head: self(), Address: h.net.address, Desk: name, Identity: h.identity, Config: h.config, Lends: h.source != nil})
	select {
	case m := <-desk.welcome:
		if w, ok := m.(*wire.Welcome); ok {
			g.Welcome, g.took = w, time.Since(begin)
			return g, nil
		}
		err = fmt.Errorf("refused: %s", said(m.(*wire.Refused).Reason))
	case <-g.lost:
		err = errors.New("the connection ended before it answered")
	case <-ctx.Done():
		err = fmt.Errorf("it does not answer: is it a troupe worker, and can it reach this side at %s? %w", h.net.address, context.Cause(ctx))
	}
	g.forget()
	h.net.system.Root.Stop(pid)
	return nil, fmt.Errorf("actors: worker %s: %w", h.address, err)
}
