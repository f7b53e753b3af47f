package link

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	mostArriving = 256 // connections that have not shown who they are
	mostOfOne    = 16  // of these, from one host: a stranger does not keep the others out
	mostInside   = 64  // connections that have
)

// door lets peers' connections in, a bounded number of them, and can end them all. It is gRPC's handshake with a
// count around it.
type door struct {
	credentials.TransportCredentials

	mu       sync.Mutex
	arriving int
	of       map[string]int // by host
	inside   map[*inside]bool
	closed   bool
}

func newDoor(server *tls.Config) *door {
	d := &door{TransportCredentials: insecure.NewCredentials(), of: map[string]int{}, inside: map[*inside]bool{}}
	if server != nil {
		d.TransportCredentials = credentials.NewTLS(server)
	}
	return d
}

// ServerHandshake lets a connection in; an error closes it.
func (d *door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	host, _, _ := net.SplitHostPort(raw.RemoteAddr().String())
	if err := d.arrive(host); err != nil {
		return nil, nil, err
	}
	conn, who, err := d.TransportCredentials.ServerHandshake(raw)
	in := &inside{Conn: conn, door: d}
	if err := d.enter(host, in, err); err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, nil, err
	}
	return in, who, nil
}

// Clone is the door itself: there is one.
func (d *door) Clone() credentials.TransportCredentials { return d }

func (d *door) arrive(host string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return errors.New("link: it is closing")
	case d.arriving >= mostArriving || d.of[host] >= mostOfOne || len(d.inside) >= mostInside:
		return errors.New("link: too many connections")
	}
	d.arriving++
	d.of[host]++
	return nil
}

// enter ends an arrival; err is the handshake's.
func (d *door) enter(host string, in *inside, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arriving--
	if d.of[host]--; d.of[host] == 0 {
		delete(d.of, host)
	}
	switch {
	case err != nil:
		return err
	case d.closed:
		return errors.New("link: it is closing")
	case len(d.inside) >= mostInside:
		return errors.New("link: too many connections")
	}
	d.inside[in] = true
	return nil
}

// shut ends all connections and lets no more in.
func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	var all []*inside
	for in := range d.inside {
		all = append(all, in)
	}
	d.mu.Unlock()
	for _, in := range all {
		_ = in.Close()
	}
}

// inside is a connection that leaves its place when it is closed.
type inside struct {
	net.Conn
	door *door
}

func (in *inside) Close() error {
	in.door.mu.Lock()
	delete(in.door.inside, in)
	in.door.mu.Unlock()
	return in.Conn.Close()
}
