package stream

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// sink writes to a connection without ever waiting for the peer: what the system does not take at once is left to a
// goroutine of its own.
type sink struct {
	*net.TCPConn
	in    *bufio.Reader // for TLS, which reads a record at a time; nil: none
	raw   syscall.RawConn
	limit int           // bytes that may wait
	wake  chan struct{} // to the writer; room for one
	quit  chan struct{} // closed with the connection

	mu       sync.Mutex
	out      []byte // waits
	busy     []byte // is being written by the writer
	spare    []byte // empty, room for what comes next
	writing  bool   // the writer is at work: nobody else writes
	corked   bool   // who appends will flush
	straight bool   // handshake: writes go through, and wait
	ending   bool   // nothing comes any more
	err      error  // writing is over

	attempt func(fd uintptr) bool // made once
	took    int                   // bytes that the attempt has written
	failed  error                 // of the attempt
}

// keptRoom is how large a buffer may stay when it has been written.
const keptRoom = 1 << 20

// mostStall is how long the peer's system may take to acknowledge what was sent, or have no room for it: about as long
// as the link waits for an answer to a ping.
const mostStall = 15 * time.Second

// ErrFull is why a connection ends whose peer does not take what is sent.
var ErrFull = errors.New("the peer does not take what is sent")

func newSink(c *net.TCPConn, limit int) (*sink, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := limitStall(raw, mostStall); err != nil {
		return nil, err
	}
	s := &sink{TCPConn: c, raw: raw, limit: limit, wake: make(chan struct{}, 1), quit: make(chan struct{}), straight: true}
	s.attempt = func(fd uintptr) bool {
		s.took, s.failed = tryWrite(fd, s.out)
		return true
	}
	return s, nil
}

func (s *sink) Read(b []byte) (int, error) {
	if s.in != nil {
		return s.in.Read(b)
	}
	return s.TCPConn.Read(b)
}

// Write takes bytes of TLS: records of a message that is being sent, or of TLS itself.
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.straight:
		return s.TCPConn.Write(b)
	}
	s.out = append(s.out, b...)
	if !s.corked {
		s.flush()
	}
	return len(b), s.err
}

// flush writes what the system takes at once; the caller has s.mu.
func (s *sink) flush() {
	if !s.writing && s.err == nil && len(s.out) > 0 {
		s.try()
	}
}

// check ends a connection in which too much waits; the caller has s.mu.
func (s *sink) check() {
	if n := len(s.out) + len(s.busy); s.err == nil && n > s.limit {
		s.err = fmt.Errorf("stream: %d bytes wait to be written, want at most %d: %w", n, s.limit, ErrFull)
	}
}

func (s *sink) try() {
	s.took, s.failed = 0, nil
	if err := s.raw.Write(s.attempt); err != nil {
		s.failed = err
	}
	switch {
	case s.failed != nil:
		s.err = s.failed
	case s.took == len(s.out):
		s.out = emptied(s.out)
	default:
		s.busy, s.out, s.spare = s.out[s.took:], s.spare, nil
		s.writing = true
		s.wake <- struct{}{} // there is room: it sleeps, and was not woken since
	}
}

// write is the writer. failed is told why it cannot go on.
func (s *sink) write(failed func(error)) {
	for {
		select {
		case <-s.quit:
			return
		case <-s.wake:
		}
		if err := s.drain(); err != nil {
			failed(err)
			return
		}
	}
}

// drain writes until nothing waits.
func (s *sink) drain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.busy) > 0 && s.err == nil {
		b := s.busy
		s.mu.Unlock()
		_, err := s.TCPConn.Write(b)
		s.mu.Lock()
		if err != nil && s.err == nil {
			s.err = err
		}
		s.busy, s.out = s.out, emptied(b)
	}
	s.spare, s.busy = emptied(s.busy), nil
	s.writing = false
	if s.ending {
		_ = s.CloseWrite()
	}
	return s.err
}

// end closes this direction when everything is written.
func (s *sink) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	if !s.writing {
		_ = s.CloseWrite()
	}
}

// waiting is how many bytes wait.
func (s *sink) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out) + len(s.busy)
}

// emptied is room for the next bytes: the same memory, unless it is large.
func emptied(b []byte) []byte {
	if cap(b) > keptRoom {
		return nil
	}
	return b[:0]
}
