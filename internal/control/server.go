package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Handler answers a request. It may call event any number of times, from one goroutine at a time; an error of event
// says that nobody listens any more. It ends soon after ctx, and its panics are its own.
type Handler func(ctx context.Context, r Request, event func(any) error) (result any, err error)

// Server listens at a socket.
type Server struct {
	listener *net.UnixListener
	remove   func() error // the socket's file
	handle   Handler
	log      *slog.Logger
	patience time.Duration
	cancel   context.CancelCauseFunc
	ctx      context.Context
	all      sync.WaitGroup

	mu    sync.Mutex
	peers map[*net.UnixConn]bool
}

// Serve listens at a path, of Parse, and answers until Close. A socket there that nobody listens at is
// replaced, one of a living engine or another kind of file is not. log may be nil.
func Serve(path string, log *slog.Logger, handle Handler) (*Server, error) {
	return serve(path, log, handle, patience)
}

func serve(path string, log *slog.Logger, handle Handler, patience time.Duration) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{handle: handle, log: log, patience: patience, peers: map[*net.UnixConn]bool{}}
	var err error
	if s.listener, s.remove, err = listen(path); err != nil {
		return nil, fmt.Errorf("control: %s: %w", path, err)
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.all.Go(s.accept)
	return s, nil
}

// Check tells early what would keep Serve from listening at a path, if anything does: before a model is loaded.
func Check(path string) error {
	if err := check(path); err != nil {
		return fmt.Errorf("control: %s: %w", path, err)
	}
	return nil
}

// Causes of a handler's context to end.
var (
	errEnding = errors.New("control: the engine is ending")
	errGone   = errors.New("control: who asked for it has gone")
)

// Close cancels what is being done, ends all connections, waits for the handlers and removes the socket.
func (s *Server) Close() error {
	s.cancel(errEnding)
	err := s.remove()
	if e := s.listener.Close(); err == nil {
		err = e
	}
	s.mu.Lock()
	for c := range s.peers {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.AcceptUnix()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return
		case err != nil: // no descriptors left, say
			s.log.Warn("control: accept: " + err.Error())
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
			}
		default:
			s.admit(c)
		}
	}
}

// admit begins a conversation, or says why not.
func (s *Server) admit(c *net.UnixConn) {
	refuse := func(why string) {
		s.log.Warn("control: refused: " + why)
		p := &peer{server: s, conn: c}
		_ = p.write(reply{Done: true, Error: "control: " + why}, time.Second)
		c.Close()
	}
	if err := sameUser(c); err != nil {
		refuse(err.Error())
		return
	}
	s.mu.Lock()
	full := len(s.peers) >= maxPeers
	if !full && s.ctx.Err() == nil {
		s.peers[c] = true
	}
	s.mu.Unlock()
	switch {
	case full:
		refuse(fmt.Sprintf("%d connections are open, want fewer: end one", maxPeers))
	case s.ctx.Err() != nil:
		c.Close()
	default:
		s.all.Go(func() { s.converse(c) })
	}
}

// converse answers the requests of a connection until it ends.
func (s *Server) converse(c *net.UnixConn) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	p := &peer{server: s, conn: c, lines: make(chan []byte), done: ctx.Done()}
	var reading sync.WaitGroup
	reading.Go(func() {
		p.read()
		cancel(errGone)
	})
	defer func() {
		s.mu.Lock()
		delete(s.peers, c)
		s.mu.Unlock()
		cancel(nil)
		c.Close()
		reading.Wait()
	}()
	for {
		p.expect(s.patience)
		line, ok := p.next(ctx)
		if !ok {
			return
		}
		p.expect(0) // as long as it takes
		r, err := parseRequest(line)
		if err != nil {
			_ = p.write(reply{Done: true, Error: err.Error()}, s.patience)
			return
		}
		if p.answer(ctx, r) != nil {
			return
		}
	}
}

// answer has the handler deal with a request; the error is one of the connection.
func (p *peer) answer(ctx context.Context, r Request) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	event := func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err = p.write(reply{Event: raw}, p.server.patience); err != nil {
			cancel(errGone)
		}
		return err
	}
	result, err := p.server.handle(ctx, r, event)
	last := reply{Done: true}
	if err == nil && result != nil {
		last.Result, err = json.Marshal(result)
	}
	if err != nil {
		last.Error = err.Error()
	}
	return p.write(last, p.server.patience)
}
