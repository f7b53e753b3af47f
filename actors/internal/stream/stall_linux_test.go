package stream

import (
	"net"
	"syscall"
	"testing"
)

// A connection whose peer acknowledges nothing does not outlive the limit, on either side.
func TestStallIsLimited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c, err := newConn(raw.(*net.TCPConn), Config{MaxMessage: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.sink.raw.Control(func(fd uintptr) {
		ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		if err != nil || ms != int(mostStall.Milliseconds()) {
			t.Errorf("limit of %d ms, %v, want %v", ms, err, mostStall)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
