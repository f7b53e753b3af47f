package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Probe asks whether a peer is at HOST:PORT, has a certificate that this side accepts, accepts this side's, and calls
// itself by that address. It makes a connection of its own, so that nothing of it is left. The error says which of it
// is not so. It ends with ctx, and after 10 s if ctx has no end.
func (l *Link) Probe(ctx context.Context, address string) error {
	host, err := hostOf("peer", address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := l.probe(ctx, host, address); err != nil {
		return fmt.Errorf("link: %s: %w", address, err)
	}
	l.peers.found(address)
	return nil
}

func (l *Link) probe(ctx context.Context, host, address string) error {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return dialed(ctx, err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn := &watchedConn{Conn: raw}
	if l.config.Client != nil {
		if conn, err = secured(ctx, raw, l.config.Client, host); err != nil {
			return shaken(ctx, err)
		}
	}
	name, err := ask(ctx, conn)
	switch {
	case err == nil && name != address:
		return fmt.Errorf("the peer calls itself %.300q: use that address, or have it advertise this one", name)
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return dialed(ctx, ctx.Err())
	case l.config.Client == nil && conn.silent():
		return errors.New("it has closed the connection without a word: if it wants TLS, give this side a certificate")
	}
	return fmt.Errorf("what listens there is no worker of troupe: %s", status.Convert(err).Message())
}

// secured shakes hands and waits for the peer's first bytes, which come unasked: only then has it accepted this
// side's certificate, and what it says otherwise would be lost once something was written to it.
func secured(ctx context.Context, raw net.Conn, settings *tls.Config, host string) (*watchedConn, error) {
	settings = settings.Clone()
	settings.NextProtos = []string{"h2"}
	if settings.ServerName == "" {
		settings.ServerName = host
	}
	conn := tls.Client(raw, settings)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	first := make([]byte, 64)
	n, err := conn.Read(first)
	if n == 0 && err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn, ahead: first[:n], heard: true}, nil
}

// ask has the peer say its address, over a connection that is open. It is the one connection: where it ends, no other
// is made.
func ask(ctx context.Context, conn net.Conn) (string, error) {
	var once sync.Once
	cc, err := grpc.NewClient("passthrough:///probe",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // what is to be secured is the connection
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			var c net.Conn
			once.Do(func() { c = conn })
			if c == nil {
				return nil, io.EOF
			}
			return c, nil
		}))
	if err != nil {
		return "", err
	}
	defer cc.Close()
	answer, err := remote.NewRemotingClient(cc).ListProcesses(ctx, &remote.ListProcessesRequest{}, grpc.MaxCallRecvMsgSize(4<<10))
	if err != nil {
		return "", err
	}
	if len(answer.Pids) != 1 {
		return "", errors.New("it does not say its address")
	}
	return answer.Pids[0].GetAddress(), nil
}

// dialed puts a failed dial into words.
func dialed(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: is a worker running there?")
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		if errors.Is(ctx.Err(), context.Canceled) { // somebody has said so, as with Ctrl-C
			return context.Cause(ctx)
		}
		return fmt.Errorf("no answer in time: is the host up, and does a firewall let the port through? %w", context.DeadlineExceeded)
	}
	return reasonOf(err)
}

// shaken puts a failed handshake into words: of this side's look at the peer, or of the peer's at this side.
func shaken(ctx context.Context, err error) error {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		op        *net.OpError
	)
	switch {
	case ctx.Err() != nil:
		return dialed(ctx, err)
	case errors.As(err, &record):
		return errors.New("it does not speak TLS: start it with a certificate")
	case errors.As(err, &authority):
		return errors.New("its certificate is of an authority that this side does not know: use certificates of one authority on all hosts")
	case errors.As(err, &hostname):
		return fmt.Errorf("its certificate is for another host: %w: make one with this host in it", hostname)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("its certificate has expired, or is not valid yet: %s: make a new one, or set the clock", invalid.Detail)
	case errors.As(err, &invalid):
		return fmt.Errorf("its certificate is not fit for a server: %w", invalid)
	case errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("it has refused this side's certificate (%w): use certificates of one authority on all hosts, that have not expired", reasonOf(err))
	case ended(err):
		return errors.New("it has closed the connection during the handshake: does it speak TLS, and has it too many connections?")
	}
	return fmt.Errorf("TLS: %w", err)
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// watchedConn has bytes that were read ahead, and knows whether the other side has said anything.
type watchedConn struct {
	net.Conn
	ahead []byte // of the goroutine that reads

	mu    sync.Mutex
	heard bool
}

func (c *watchedConn) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = c.heard || n > 0
	return n, err
}

func (c *watchedConn) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.heard
}
