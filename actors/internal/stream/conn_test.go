package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Messages of several senders come whole, each sender's in order, whatever their size, while the other way is in use.
func TestOrder(t *testing.T) {
	server, client := secured(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			if !secure {
				server, client = nil, nil
			}
			here, there := newSide(), newSide()
			a, b := pair(t, here, there, server, client)
			const senders, each = 3, 200
			var wg sync.WaitGroup
			for s := range senders {
				for _, c := range []*Conn{a, b} {
					wg.Go(func() {
						for i := range each {
							c.Send(uint32(s), wrapperspb.Bytes(bytes.Repeat([]byte{byte(i)}, i*i*(s+1))))
						}
					})
				}
			}
			for _, to := range []*side{here, there} {
				next := [senders]int{}
				for range senders * each {
					got := to.next(t)
					i := next[got.target]
					next[got.target]++
					if want := bytes.Repeat([]byte{byte(i)}, i*i*(int(got.target)+1)); !bytes.Equal(got.m.(*wrapperspb.BytesValue).Value, want) {
						t.Fatalf("sender %d: message %d is another", got.target, i)
					}
				}
			}
			wg.Wait()
		})
	}
}

// What may come later comes with the next message, in order.
func TestLater(t *testing.T) {
	server, client := secured(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			if !secure {
				server, client = nil, nil
			}
			there := newSide()
			a, _ := pair(t, newSide(), there, server, client)
			for i := range 100 {
				a.Later(uint32(2*i), wrapperspb.String("later"))
				if n := a.sink.waiting(); n == 0 {
					t.Error("it has not waited")
				}
				a.Send(uint32(2*i+1), wrapperspb.String("now"))
			}
			for i := range 200 {
				if got := there.next(t); got.target != uint32(i) {
					t.Fatalf("message %d, want %d", got.target, i)
				}
			}
		})
	}
}

// The last message comes before the end, and who has ended the connection is not told of it.
func TestEnd(t *testing.T) {
	server, client := secured(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			if !secure {
				server, client = nil, nil
			}
			here, there := newSide(), newSide()
			a, _ := pair(t, here, there, server, client)
			large := wrapperspb.Bytes(make([]byte, 1<<20-8))
			for range 16 { // more than the system takes
				a.Send(1, large)
			}
			a.End(2, wrapperspb.String("bye"))
			a.Send(3, large)
			for range 16 {
				there.next(t)
			}
			if got := there.next(t); got.target != 2 || got.m.(*wrapperspb.StringValue).Value != "bye" {
				t.Errorf("got %v", got)
			}
			if why := there.why(t); !errors.Is(why, ErrEnded) || strings.Contains(why.Error(), "middle") {
				t.Errorf("lost: %v", why)
			}
			a.Wait()
			if len(here.lost) > 0 || len(there.came) > 0 {
				t.Errorf("%d told of its own end, %d messages after the last", len(here.lost), len(there.came))
			}
		})
	}
}

// A peer that reads nothing costs a bounded amount of memory, and then the connection; nobody waits for it.
func TestSlowReader(t *testing.T) {
	l, address := listening(t, nil)
	there := newSide()
	there.config.Queue = 4 << 20
	came := make(chan *Conn, 1)
	secret, _ := l.Expect(there.config, func(c *Conn) { came <- c })
	raw(t, address, secret)
	c := within(t, came)
	c.Start()
	defer c.Wait()
	defer c.Close()
	m := wrapperspb.Bytes(make([]byte, 512<<10))
	for i := 0; !c.over.Load(); i++ {
		if i > 1<<10 {
			t.Fatal("512 MiB are taken to wait")
		}
		c.Send(1, m)
		if n := c.sink.waiting(); n > there.config.Queue+2*len(m.Value) {
			t.Fatalf("%d bytes wait", n)
		}
	}
	if why := there.why(t); !errors.Is(why, ErrFull) {
		t.Errorf("lost: %v", why)
	}
}

// What may not be sent ends the connection with the reason.
func TestSendErrors(t *testing.T) {
	for _, c := range []struct {
		send func(*Conn)
		want string
	}{
		{func(c *Conn) { c.Send(1, wrapperspb.Bytes(make([]byte, 2<<20))) }, "want at most 1048576"},
		{func(c *Conn) { c.Send(1, wrapperspb.Int32(1)) }, "no kind that goes out"},
		{func(c *Conn) { c.Send(1, wrapperspb.String("\xff")) }, "UTF-8"},
	} {
		here := newSide()
		a, _ := pair(t, here, newSide(), nil, nil)
		c.send(a)
		if why := here.why(t); !strings.Contains(why.Error(), c.want) {
			t.Errorf("lost: %v, want %s", why, c.want)
		}
	}
}

func TestDialErrors(t *testing.T) {
	server, client := secured(t)
	l, address := listening(t, server)
	there := newSide()
	take := func(*Conn) { t.Error("somebody is let in") }
	secret, forget := l.Expect(there.config, take)
	for _, c := range []struct {
		name   string
		secret []byte
		secure bool
		want   string
	}{
		{"another secret", make([]byte, secretBytes), true, "does not let this side in"},
		{"a short secret", secret[:5], true, "a secret of 5 bytes"},
		{"plain text", secret, false, "does not let this side in"},
	} {
		settings := client
		if !c.secure {
			settings = nil
		}
		if _, err := Dial(context.Background(), address, settings, c.secret, newSide().config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	stranger := client.Clone()
	stranger.Certificates = nil
	if _, err := Dial(context.Background(), address, stranger, secret, newSide().config); err == nil {
		t.Error("a stranger without certificate is let in")
	}
	forget()
	if _, err := Dial(context.Background(), address, client, secret, newSide().config); err == nil {
		t.Error("a secret is good after it was forgotten")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), address, client, secret, newSide().config); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

// A secret lets one in.
func TestSecretOnce(t *testing.T) {
	l, address := listening(t, nil)
	came := make(chan *Conn, 2)
	secret, _ := l.Expect(newSide().config, func(c *Conn) { came <- c })
	first, err := Dial(context.Background(), address, nil, secret, newSide().config)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Dial(context.Background(), address, nil, secret, newSide().config); err == nil || !strings.Contains(err.Error(), "does not let this side in") {
		t.Errorf("the second: %v", err)
	}
	within(t, came).Close()
	if len(came) > 0 {
		t.Error("two are let in")
	}
}
