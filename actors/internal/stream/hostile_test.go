package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func framed(t testing.TB, target uint32, m proto.Message) []byte {
	t.Helper()
	b, err := newSide().config.appendFrame(nil, 1, target, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What cannot be read ends the connection and nothing else, with all that came before it.
func TestHostile(t *testing.T) {
	good := framed(t, 7, wrapperspb.Bytes([]byte("good")))
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"cut in a header", good[:5], "in the middle of a message"},
		{"cut in a message", good[:len(good)-1], "in the middle of a message"},
		{"too large", []byte("\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x00"), "a message of 4294967295 bytes"},
		{"unknown kind", []byte("\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00"), "kind 9"},
		{"no message", []byte("\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x09"), "BytesValue"},
		{"not UTF-8", []byte("\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x01\xff"), "UTF-8"},
		{"a tail too large", []byte("\x00\x00\x00\x00\x01\x00\x00\x00\x00\xff\xff\xff\xff"), "a message of 4294967295 bytes"},
		{"a tail without place", []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00x"), "no place for a tail"},
		{"two values", []byte("\x03\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x0a\x01xx"), "no place for a tail"},
		{"TLS", []byte("\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\x00\x00"), "want"},
		{"nothing", nil, "the connection for batches ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, address := listening(t, nil)
			there := newSide()
			came := make(chan *Conn, 1)
			secret, _ := l.Expect(there.config, func(c *Conn) { came <- c })
			peer := raw(t, address, secret)
			conn := within(t, came)
			conn.Start()
			if _, err := peer.Write(append(bytes.Clone(good), c.send...)); err != nil {
				t.Fatal(err)
			}
			if err := peer.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := there.next(t); got.target != 7 || string(got.m.(*wrapperspb.BytesValue).Value) != "good" {
				t.Errorf("got %v", got)
			}
			if why := there.why(t); !strings.Contains(why.Error(), c.want) {
				t.Errorf("lost: %v, want %s", why, c.want)
			}
			conn.Wait()
			if len(there.came) > 0 {
				t.Error("something came of it")
			}
		})
	}
}

// Connections that say nothing are few, and end with the listener.
func TestSilentStrangers(t *testing.T) {
	l, address := listening(t, nil)
	for range mostOfOne {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	} // it was closed: others are before it
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A peer process that is killed is noticed.
func TestKilledPeer(t *testing.T) {
	l, address := listening(t, nil)
	there := newSide()
	came := make(chan *Conn, 1)
	secret, _ := l.Expect(there.config, func(c *Conn) { came <- c })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), peerKey+"="+address, secretKey+"="+fmt.Sprintf("%x", secret))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "in\n" {
		t.Fatalf("the peer says %q: %v", line, err)
	}
	conn := within(t, came)
	conn.Start()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if why := there.why(t); !errors.Is(why, ErrEnded) {
		t.Errorf("lost: %v", why)
	}
	conn.Send(1, wrapperspb.String("to nobody"))
	conn.Wait()
}

// FuzzRead reads the same bytes whole and one by one: what is taken and how it ends must be the same.
func FuzzRead(f *testing.F) {
	good := framed(f, 7, wrapperspb.Bytes([]byte("good")))
	f.Add(good)
	f.Add(append(bytes.Clone(good), good...))
	f.Add(good[:len(good)-1])
	f.Add(framed(f, 1, wrapperspb.Bytes(make([]byte, 3000))))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(from io.Reader) (all []string, end string) {
			s := newSide()
			s.config.MaxMessage = 4 << 10
			s.config.Take = func(target uint32, m proto.Message) { all = append(all, fmt.Sprint(target, m)) }
			c := &Conn{config: s.config}
			return all, c.readAll(from).Error()
		}
		whole, end := read(bytes.NewReader(b))
		single, last := read(iotest.OneByteReader(bytes.NewReader(b)))
		if strings.Join(whole, "\n") != strings.Join(single, "\n") || end != last {
			t.Errorf("whole %q %s, byte by byte %q %s", whole, end, single, last)
		}
		if len(whole)*header > len(b) {
			t.Errorf("%d messages of %d bytes", len(whole), len(b))
		}
	})
}
