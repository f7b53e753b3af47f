package stream

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	secretBytes = 32
	greeting    = "troupe.1"      // both sides say it first: the listener after it has found the secret good
	patience    = 5 * time.Second // from accept to the secret
	mostArrive  = 64              // connections that have not said their secret
	mostOfOne   = 16              // of these, from one host
)

// Listener lets those in who know a secret.
type Listener struct {
	listener net.Listener
	server   *tls.Config // nil: plain text
	all      sync.WaitGroup

	mu      sync.Mutex
	waiting map[[sha256.Size]byte]*expected // by hash, so that the time of looking tells nothing of a secret
	arrive  map[net.Conn]string             // host
	closed  bool
}

type expected struct {
	config Config
	take   func(*Conn)
}

// Listen listens on HOST:PORT; port 0 picks a free one. Settings of TLS are those of a server that wants
// certificates; nil is plain text, which the caller allows on loopback alone.
func Listen(address string, server *tls.Config) (*Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("stream: listen on %s: %w: choose another port, or port 0 for a free one", address, reasonOf(err))
	}
	s := &Listener{listener: l, server: server, waiting: map[[sha256.Size]byte]*expected{}, arrive: map[net.Conn]string{}}
	s.all.Go(s.accept)
	return s, nil
}

// Port is the one that is listened on.
func (l *Listener) Port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// Expect makes a secret with which one connection is let in, until forget is called. take gets it before any message
// comes or goes, and starts it.
func (l *Listener) Expect(c Config, take func(*Conn)) (secret []byte, forget func()) {
	secret = make([]byte, secretBytes)
	_, _ = rand.Read(secret) // it never fails
	key := sha256.Sum256(secret)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[key] = &expected{c, take}
	return secret, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, key)
	}
}

// Close stops listening and cuts off who has not said a secret. Connections that were let in go on. The second call
// does nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	clear(l.waiting)
	for c := range l.arrive {
		_ = c.Close()
	}
	l.mu.Unlock()
	err := l.listener.Close()
	l.all.Wait()
	return err
}

func (l *Listener) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			if l.over() {
				return
			}
			time.Sleep(10 * time.Millisecond) // no descriptors left, or a connection that was gone
			continue
		}
		if !l.arrived(c) {
			_ = c.Close()
			continue
		}
		l.all.Go(func() { l.admit(c.(*net.TCPConn)) })
	}
}

func (l *Listener) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// arrived counts a connection in, a bounded number of them.
func (l *Listener) arrived(c net.Conn) bool {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, h := range l.arrive {
		if h == host {
			n++
		}
	}
	if l.closed || len(l.arrive) >= mostArrive || n >= mostOfOne {
		return false
	}
	l.arrive[c] = host
	return true
}

func (l *Listener) left(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.arrive, c)
}

// admit lets a connection in, or closes it without a word.
func (l *Listener) admit(raw *net.TCPConn) {
	defer l.left(raw)
	_ = raw.SetDeadline(time.Now().Add(patience))
	conn, err := newConn(raw, Config{MaxMessage: 1}, l.secured()) // whose it is, it has yet to say
	if err != nil {
		_ = raw.Close()
		return
	}
	e, err := l.recognise(conn)
	if err != nil {
		_ = raw.Close()
		return
	}
	if conn, err = conn.with(e.config); err != nil {
		_ = raw.Close()
		return
	}
	_ = raw.SetDeadline(time.Time{})
	e.take(conn)
}

func (l *Listener) secured() func(net.Conn) *tls.Conn {
	if l.server == nil {
		return nil
	}
	return func(c net.Conn) *tls.Conn {
		settings := l.server.Clone()
		settings.SessionTicketsDisabled, settings.DynamicRecordSizingDisabled = true, true
		return tls.Server(c, settings)
	}
}

// recognise shakes hands and finds whom the secret is of. It is good for one.
func (l *Listener) recognise(c *Conn) (*expected, error) {
	if c.tls != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.tls.HandshakeContext(ctx); err != nil {
			return nil, err
		}
	}
	said := make([]byte, len(greeting)+secretBytes)
	if _, err := io.ReadFull(c.plain(), said); err != nil {
		return nil, err
	}
	key := sha256.Sum256(said[len(greeting):])
	l.mu.Lock()
	e := l.waiting[key]
	delete(l.waiting, key)
	l.mu.Unlock()
	if e == nil || string(said[:len(greeting)]) != greeting {
		return nil, errors.New("stream: not expected")
	}
	if _, err := c.plain().Write([]byte(greeting)); err != nil {
		return nil, err
	}
	c.sink.begin()
	return e, nil
}

// with is the connection of a user.
func (c *Conn) with(config Config) (*Conn, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	c.config, c.kinds, c.sink.limit = config, kinds(config.Out), config.Queue
	return c, nil
}

// begin ends the handshake: from now on writes do not wait.
func (s *sink) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.straight = false
}
