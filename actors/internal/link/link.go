package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
)

// Link is an actor system's connection with others. It is safe for concurrent use.
type Link struct {
	config  Config
	address string // HOST:PORT, the advertised one
	remote  *remote.Remote
	system  *actor.ActorSystem
	lost    *eventstream.Subscription
	rules   rules
	door    *door
	peers   *peers
	refused refusals
	stopped atomic.Bool
}

// running is the number of links of this process.
var running atomic.Int32

// portTries is how often a free port is looked for: another process may take it before the library has it.
const portTries = 3

// Start makes the system reachable for others, and others for it: from now on its PIDs have the link's address, so
// there may be no actor in it yet. Errors say what to mend: a configuration that is not safe, a port that is taken.
//
// The library silences gRPC's log for the whole process; who wants it sets grpclog's logger again afterwards. That is
// a data race with gRPC that already runs, so start the link before plugins.
func Start(system *actor.ActorSystem, c Config) (*Link, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	rules, err := newRules(c)
	if err != nil {
		return nil, err
	}
	if n := running.Add(1); n > 1 && !c.Several {
		running.Add(-1)
		return nil, errors.New("link: this process has a link already: stop it first, or use it for both")
	}
	l, err := start(system, c, rules)
	if err != nil {
		running.Add(-1)
		return nil, err
	}
	return l, nil
}

func start(system *actor.ActorSystem, c Config, r rules) (*Link, error) {
	host, port, _ := net.SplitHostPort(c.Listen) // complete has checked it
	tries := 1
	if port == "0" {
		tries = portTries
	}
	var err error
	for range tries {
		var l *Link
		if l, err = listen(system, c, r, host, port); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// listen tries one port. The library panics where it cannot have it, so the port is tried first.
func listen(system *actor.ActorSystem, c Config, r rules, host, port string) (l *Link, err error) {
	trial, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("link: listen on %s: %w: choose another port with HOST:PORT, or port 0 for a free one", c.Listen, reasonOf(err))
	}
	number := trial.Addr().(*net.TCPAddr).Port
	if err := trial.Close(); err != nil {
		return nil, fmt.Errorf("link: listen on %s: %w", c.Listen, err)
	}
	l = &Link{config: c, address: c.advertised(number), system: system, rules: r, door: newDoor(c.Server), peers: newPeers(c.Lost)}
	l.rules.address = l.address
	l.refused.log = c.Log
	settings := remote.Configure(bracketed(host), number,
		remote.WithAdvertisedHost(l.address),
		remote.WithServerOptions(l.serverOptions()...),
		remote.WithDialOptions(dialOptions(c)...),
		remote.WithCallOptions(callOptions(c)...),
		remote.WithEndpointWriterBatchSize(batchSize),
		remote.WithEndpointWriterQueueSize(queueSize))
	settings.MaxRetryCount = 1 // each try blocks the messages to that peer, and two seconds more
	defer func() {
		if reason := recover(); reason != nil {
			l, err = nil, fmt.Errorf("link: listen on %s: %v", c.Listen, reason)
		}
	}()
	l.remote = remote.NewRemote(system, settings)
	l.remote.Start()
	l.lost = system.EventStream.Subscribe(l.event) // after the library's own, so that the peer is forgotten before Lost says so
	return l, nil
}

// bracketed is a host as the library wants it, which puts a colon and the port behind it.
func bracketed(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return "[" + host + "]"
	}
	return host
}

// Address returns HOST:PORT by which peers reach this system; its PIDs have it.
func (l *Link) Address() string { return l.address }

// Settings are those of TLS for connections that come in and go out beside the link's; nil is plain text.
func (l *Link) Settings() (server, client *tls.Config) { return l.config.Server, l.config.Client }

// event hears of the connections that this system has opened.
func (l *Link) event(e any) {
	switch e := e.(type) {
	case *remote.EndpointConnectedEvent:
		l.peers.opened(e.Address)
	case *remote.EndpointTerminatedEvent:
		l.peers.closed(e.Address)
	}
}

// stopGrace is how long peers get to close their ends of the connections.
const stopGrace = 500 * time.Millisecond

// Stop closes the link: no message comes or goes any more, and Lost is not called again. Actors that send to other
// hosts are to be stopped before it: the library does not guard its table against them. When ctx ends, connections
// are cut at once. The error is ctx's. The second call does nothing.
func (l *Link) Stop(ctx context.Context) error {
	if !l.stopped.CompareAndSwap(false, true) {
		return nil
	}
	l.peers.silence()
	l.system.EventStream.Unsubscribe(l.lost)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.shutdown()
	}()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	var err error
	select {
	case <-done:
	case <-grace.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.door.shut() // whoever has not gone by now is cut off: the library waits 10 s for them
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	running.Add(-1)
	return err
}

// shutdown stops the library. It may panic: a stream that ends just then is told to end over a closed channel.
func (l *Link) shutdown() {
	defer func() {
		if reason := recover(); reason != nil {
			l.config.Log.Debug("link: the library's shutdown", slog.Any("panic", reason))
			l.remote.Shutdown(false)
		}
	}()
	l.remote.Shutdown(true)
}

// reasonOf takes the names of operation and address out of an error of the net package.
func reasonOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// portOf reads a port, 0 to 65535.
func portOf(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err
}
