package actors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
)

// doorway is where connections for batches come in and go out: one for each session, opened by the head.
type doorway struct {
	listener *stream.Listener // of a worker; nil: none
	address  string           // HOST:PORT of it
	client   *tls.Config      // of a head; nil: plain text
}

// openDoorway listens where heads are to open connections for batches.
func (n *Net) openDoorway(o NetOptions, server *tls.Config) error {
	listen := o.DataListen
	if listen == "" {
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return fmt.Errorf("actors: %w", err)
		}
		listen = net.JoinHostPort(host, "0")
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("actors: connections for batches: %w: want HOST:PORT", err)
	}
	ip := net.ParseIP(host)
	if server == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("actors: connections for batches at %s: plain text on a host that others can reach: use certificates, or listen on 127.0.0.1", listen)
	}
	if n.data.listener, err = stream.Listen(listen, server); err != nil {
		return fmt.Errorf("actors: connections for batches: %w", err)
	}
	if host == "" || ip != nil && ip.IsUnspecified() || o.DataListen == "" {
		if host, _, err = net.SplitHostPort(n.address); err != nil {
			return fmt.Errorf("actors: %w", err)
		}
	}
	n.data.address = net.JoinHostPort(host, strconv.Itoa(n.data.listener.Port()))
	if o.DataAdvertise != "" {
		n.data.address = o.DataAdvertise
	}
	return nil
}

func (n *Net) closeDoorway() error {
	if n.data.listener == nil {
		return nil
	}
	return n.data.listener.Close()
}

// carry sends a message about a batch to a crew or a post: over the connection of the session, where it is known by its
// number, or over the link where sides have no such connections, as those of tests.
func (n *Net) carry(data *stream.Conn, number uint32, to *actor.PID, m proto.Message) {
	switch {
	case data != nil:
		if !n.out.of(n.side(to)).takes(func() { give(data, number, m) }) {
			give(data, number, m)
		}
	case n.local:
		n.send(to, m)
	}
}

// give sends a message over a connection, and its memory back.
func give(data *stream.Conn, number uint32, m proto.Message) {
	if _, ahead := m.(*wire.Routed); ahead {
		data.Later(number, m) // Back follows
		return
	}
	data.Send(number, m)
	wire.Free(m)
}

// mostKnown bounds the names that a taker remembers.
const mostKnown = 1024

// taker hands what comes over a connection to the actors of this side that it is for.
func (n *Net) taker(name func(number uint32) string, bye func(reason string)) func(number uint32, m proto.Message) {
	known := map[uint32]*actor.PID{}
	return func(number uint32, m proto.Message) {
		if b, ok := m.(*wire.Bye); ok {
			bye(said(b.Reason))
			return
		}
		pid := known[number]
		if pid == nil {
			if len(known) >= mostKnown {
				clear(known)
			}
			pid = n.pid(n.address, n.name(name(number)))
			known[number] = pid
		}
		n.system.Root.Send(pid, m)
	}
}

// dialData opens the connection for batches of a session that has begun. It is nil where there are none.
func (h *host) dialData(ctx context.Context, g *greeting) (*stream.Conn, error) {
	if g.Data == "" && h.net.local {
		return nil, nil
	}
	c := stream.Config{Out: wire.DataToWorker(), In: wire.DataToHead(), MaxMessage: maxMessage, Tail: wire.Values, Room: wire.Room,
		Lost: func(why error) { h.lose(g.pid, why) }}
	c.Take = h.net.taker(func(number uint32) string { return postName(number, g.Session) },
		func(reason string) { h.lose(g.pid, fmt.Errorf("it says: %s", reason)) })
	host, _, err := net.SplitHostPort(g.Data)
	if err != nil {
		return nil, fmt.Errorf("actors: worker %s: connections for batches: %w", h.address, err)
	}
	if ip := net.ParseIP(host); h.net.data.client == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("actors: worker %s: connections for batches at %s: plain text to another host: use certificates", h.address, g.Data)
	}
	conn, err := stream.Dial(ctx, g.Data, h.net.data.client, g.Secret, c)
	if err != nil {
		return nil, fmt.Errorf("actors: worker %s: connection for batches: %w (troupe worker --data-listen HOST:PORT says which port it is)", h.address, err)
	}
	return conn, nil
}

// expectData makes a session's place for the connection that its head opens, and says in the welcome where it is.
func (s *session) expectData(welcome *wire.Welcome) {
	n := s.worker.o.Net
	if n.data.listener == nil {
		return
	}
	c := stream.Config{Out: wire.DataToHead(), In: wire.DataToWorker(), MaxMessage: maxMessage, Tail: wire.Values, Room: wire.Room,
		Lost: s.lostData}
	c.Take = n.taker(func(number uint32) string { return gateName(s.number, number) },
		func(reason string) { s.finish(errors.New(reason)) })
	var forget func()
	welcome.Data = n.data.address
	welcome.Secret, forget = n.data.listener.Expect(c, func(conn *stream.Conn) {
		s.data.Store(conn)
		if s.ctx.Err() != nil { // nobody else closes it
			s.endData()
		}
		conn.Start()
	})
	context.AfterFunc(s.ctx, forget)
}

// lostData ends the session whose connection has ended. A head that is still there hears why.
func (s *session) lostData(why error) {
	if errors.Is(why, stream.ErrEnded) {
		s.finish(why)
		return
	}
	s.end(why)
}

// endData ends the session's connection with the reason, so that the head knows it before it sees the end.
func (s *session) endData() {
	if conn := s.data.Load(); conn != nil {
		conn.End(0, &wire.Bye{Session: s.number, Reason: words(context.Cause(s.ctx).Error())})
	}
}

// postName is how the head's side of a crew is called.
func postName(crew uint32, session uint64) string { return fmt.Sprintf("post-%d-%x", crew, session) }
