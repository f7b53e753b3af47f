package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// peer is one end of a connection.
type peer struct {
	server *Server
	conn   *net.UnixConn
	lines  chan []byte     // from read; closed at its end
	done   <-chan struct{} // nobody takes lines any more
}

// expect gives the other side that long to send the next line; 0 any time.
func (p *peer) expect(d time.Duration) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = p.conn.SetReadDeadline(until) // of a connection that has ended: read says so
}

// read hands lines on until the connection ends or sends what is no line.
func (p *peer) read() {
	defer close(p.lines)
	s := bufio.NewScanner(p.conn)
	s.Buffer(make([]byte, 0, 4<<10), maxRequest)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		select {
		case p.lines <- bytes.Clone(s.Bytes()):
		case <-p.done:
			return
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		_ = p.write(reply{Done: true, Error: fmt.Sprintf("control: request: longer than %d bytes", maxRequest)}, p.server.patience)
	}
}

// next waits for a line.
func (p *peer) next(ctx context.Context) (line []byte, ok bool) {
	select {
	case line, ok = <-p.lines:
		return line, ok
	case <-ctx.Done():
		return nil, false
	}
}

// write sends a line within a time. A reply that cannot be encoded becomes an error that says so.
func (p *peer) write(r reply, within time.Duration) error {
	line, err := encode(r)
	if err != nil {
		if line, err = encode(reply{Done: r.Done, Error: err.Error()}); err != nil {
			return err
		}
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err = p.conn.Write(line)
	return err
}
