package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const patient = 30 * time.Second // for what should take milliseconds

// taken is what has come in.
type taken struct {
	target uint32
	m      proto.Message
}

// side is one end with what happens there.
type side struct {
	config Config
	came   chan taken
	lost   chan error
}

func newSide() *side {
	both := []proto.Message{&wrapperspb.StringValue{}, &wrapperspb.BytesValue{}}
	s := &side{came: make(chan taken, 4096), lost: make(chan error, 2)}
	s.config = Config{Out: both, In: both, MaxMessage: 1 << 20, Tail: tail, Room: func(n int) []byte { return make([]byte, n) },
		Take: func(target uint32, m proto.Message) { s.came <- taken{target, m} },
		Lost: func(why error) { s.lost <- why }}
	return s
}

// tail has BytesValue travel as a tail.
func tail(m proto.Message) *[]byte {
	if b, ok := m.(*wrapperspb.BytesValue); ok {
		return &b.Value
	}
	return nil
}

func (s *side) next(t *testing.T) taken {
	t.Helper()
	return within(t, s.came)
}

func (s *side) why(t *testing.T) error {
	t.Helper()
	return within(t, s.lost)
}

func within[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patient):
		t.Fatal("nothing has come")
	}
	return v
}

func listening(t testing.TB, server *tls.Config) (l *Listener, address string) {
	t.Helper()
	l, err := Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Port()))
}

// pair is two ends of a connection, started.
func pair(t testing.TB, here, there *side, server, client *tls.Config) (dialled, admitted *Conn) {
	t.Helper()
	l, address := listening(t, server)
	came := make(chan *Conn, 1)
	secret, _ := l.Expect(there.config, func(c *Conn) { came <- c })
	dialled, err := Dial(context.Background(), address, client, secret, here.config)
	if err != nil {
		t.Fatal(err)
	}
	admitted = <-came
	for _, c := range []*Conn{dialled, admitted} {
		c.Start()
		t.Cleanup(func() { c.Close(); c.Wait() })
	}
	return dialled, admitted
}

// raw is an end that says a secret and then whatever a test wants.
func raw(t *testing.T, address string, secret []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(append([]byte(greeting), secret...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// secured are settings for two ends that know each other.
func secured(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(leaf)
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return &tls.Config{Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, MinVersion: tls.VersionTLS13},
		&tls.Config{Certificates: own, RootCAs: known, MinVersion: tls.VersionTLS13}
}
