package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestSecure(t *testing.T) {
	a := newAuthority(t)
	here, system := started(t, a.secure(t, "127.0.0.1", soon()))
	there, _ := started(t, a.secure(t, "127.0.0.1", soon()))
	if err := here.Probe(patient(t), there.Address()); err != nil {
		t.Fatal(err)
	}
	asks(t, system, there.Address(), []byte("x"))
}

// Each way in which a peer cannot be spoken with has its words.
func TestProbe(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	good := a.secure(t, "127.0.0.1", soon())
	stranger := other.secure(t, "127.0.0.1", soon())
	trusting := stranger // its authority is known here, ours is not known there
	trusting.Server = &tls.Config{Certificates: good.Server.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: other.pool}
	cases := []struct {
		name        string
		here, there Config
		want        string
	}{
		{"another authority", good, stranger, "its certificate is of an authority that this side does not know"},
		{"our authority is not known there", good, trusting, "it has refused this side's certificate (tls: unknown certificate authority)"},
		{"expired there", good, a.secure(t, "127.0.0.1", time.Now().Add(-time.Minute)), "its certificate has expired, or is not valid yet"},
		{"expired here", a.secure(t, "127.0.0.1", time.Now().Add(-time.Minute)), good, "it has refused this side's certificate (tls: expired certificate)"},
		{"another host", good, a.secure(t, "b.example", soon()), "its certificate is for another host: x509: cannot validate certificate for 127.0.0.1"},
		{"plain text there", good, plain("127.0.0.1:0"), "it does not speak TLS: start it with a certificate"},
		{"plain text here", plain("127.0.0.1:0"), good, "if it wants TLS, give this side a certificate"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			here, _ := started(t, c.here)
			there, _ := started(t, c.there)
			err := here.Probe(patient(t), there.Address())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

// What listens may be anything: it says nothing, ends at once, talks nonsense, or never stops talking.
func TestProbeOfOthers(t *testing.T) {
	a := newAuthority(t)
	others := map[string]func(net.Conn){
		"silent":   func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<20)); time.Sleep(time.Hour) },
		"leaves":   func(c net.Conn) { c.Close() },
		"nonsense": func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example ESMTP\r\n")) },
		"endless": func(c net.Conn) {
			for b := make([]byte, 64<<10); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		},
	}
	for name, other := range others {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go other(c) // ends with the connection, or with the test
			}
		}()
		for kind, config := range map[string]Config{"plain": plain("127.0.0.1:0"), "secure": a.secure(t, "127.0.0.1", soon())} {
			t.Run(name+" "+kind, func(t *testing.T) {
				here, _ := started(t, config)
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				err := here.Probe(ctx, l.Addr().String())
				if err == nil {
					t.Fatal("a stranger has been taken for a peer")
				}
				if name == "silent" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want that the time is over", err)
				}
				t.Log(err)
			})
		}
	}
}

func TestProbeIsStopped(t *testing.T) {
	here, _ := started(t, plain("127.0.0.1:0"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := here.Probe(ctx, "127.0.0.1:9"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	why := errors.New("a key was pressed")
	ctx, because := context.WithCancelCause(t.Context())
	because(why)
	if err := here.Probe(ctx, "127.0.0.1:9"); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	if err := here.Probe(t.Context(), "nowhere"); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf("got %v", err)
	}
}
