package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// Dial connects with a listener at HOST:PORT that expects the secret. Settings of TLS are those of a client that shows
// a certificate; nil is plain text. The connection is to be started. Errors say what to mend.
func Dial(ctx context.Context, address string, client *tls.Config, secret []byte, config Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := dial(ctx, address, client, secret, config)
	if err == nil {
		return c, nil
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		err = errors.New("connection refused: does a firewall let the port through?")
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled):
		err = fmt.Errorf("no answer in time: does a firewall let the port through? %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		err = context.Canceled
	default:
		err = reasonOf(err)
	}
	return nil, fmt.Errorf("stream: %s: %w", address, err)
}

func dial(ctx context.Context, address string, client *tls.Config, secret []byte, config Config) (*Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if len(secret) != secretBytes {
		return nil, fmt.Errorf("a secret of %d bytes, want %d", len(secret), secretBytes)
	}
	var secure func(net.Conn) *tls.Conn
	if client != nil {
		secure = func(c net.Conn) *tls.Conn {
			settings := client.Clone()
			settings.DynamicRecordSizingDisabled = true
			if settings.ServerName == "" {
				settings.ServerName = host
			}
			return tls.Client(c, settings)
		}
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	unwatch := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c, err := newConn(raw.(*net.TCPConn), config, secure)
	if err == nil {
		err = c.introduce(ctx, secret)
	}
	if !unwatch() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// introduce shakes hands and says the secret.
func (c *Conn) introduce(ctx context.Context, secret []byte) error {
	if c.tls != nil {
		if err := c.tls.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	if _, err := c.plain().Write(append([]byte(greeting), secret...)); err != nil {
		return err
	}
	answer := make([]byte, len(greeting))
	if _, err := io.ReadFull(c.plain(), answer); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			return errors.New("it does not let this side in: the port is of another process, or somebody was faster")
		}
		return err
	}
	if string(answer) != greeting {
		return errors.New("what listens there is no worker of troupe")
	}
	c.sink.begin()
	return nil
}

// reasonOf takes the names of operation and address out of an error of the net package.
func reasonOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
