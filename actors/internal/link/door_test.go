package link

import (
	"fmt"
	"net"
	"testing"
)

// from is a connection's end that says where it comes from.
type from struct {
	net.Conn
	host string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.host), Port: 1} }

// The places of those who arrive are bounded for each host, those of all and of those inside as well, and come free.
func TestDoorIsBounded(t *testing.T) {
	d := newDoor(nil)
	for i := range mostOfOne {
		if err := d.arrive("10.0.0.1"); err != nil {
			t.Fatal(i, err)
		}
	}
	if d.arrive("10.0.0.1") == nil {
		t.Error("one host has more than its places")
	}
	for range mostOfOne {
		if err := d.enter("10.0.0.1", nil, net.ErrClosed); err == nil {
			t.Error("a handshake that failed let somebody in")
		}
	}
	for i := range mostArriving {
		if err := d.arrive(fmt.Sprint(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	if d.arrive("one more") == nil {
		t.Error("more arrive than there are places")
	}
	for i := range mostArriving {
		_ = d.enter(fmt.Sprint(i), nil, net.ErrClosed)
	}
	if d.arriving != 0 || len(d.of) != 0 {
		t.Errorf("%d are still arriving, of %v", d.arriving, d.of)
	}
	var all []net.Conn
	for i := range mostInside {
		a, b := net.Pipe()
		defer b.Close()
		c, _, err := d.ServerHandshake(from{a, "10.0.0.2"})
		if err != nil {
			t.Fatal(i, err)
		}
		all = append(all, c)
	}
	a, b := net.Pipe()
	defer b.Close()
	if _, _, err := d.ServerHandshake(from{a, "10.0.0.3"}); err == nil {
		t.Error("more are inside than there are places")
	}
	all[0].Close()
	all[0].Close()
	c, _, err := d.ServerHandshake(from{a, "10.0.0.3"})
	if err != nil {
		t.Errorf("a place that is free: %v", err)
	}
	d.shut()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a connection lives on behind a door that is shut")
	}
	if _, _, err := d.ServerHandshake(from{a, "10.0.0.3"}); err == nil || len(d.inside) != 0 {
		t.Errorf("a door that is shut has let one in: %v, %d inside", err, len(d.inside))
	}
}
