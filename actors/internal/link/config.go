package link

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Config says where a link listens and what may come in.
type Config struct {
	Listen    string // HOST:PORT; port 0 picks a free one
	Advertise string // HOST:PORT by which peers reach it, port 0 for the one of Listen; "" for Listen, which then names a host

	// Server and Client are for the connections that come in and go out: TLS 1.3 with certificates on both sides.
	// Both nil is plain text, which is for loopback alone.
	Server, Client *tls.Config

	Allowed    []proto.Message        // the types that may come in; the library's own are refused, as they stop actors
	Targets    func(name string) bool // whether a peer may send to the actor of that name; futures are called future$…
	MaxMessage int                    // bytes of one message; 0 for 4 MiB. A connection takes batches of 16 of them

	// Lost is called when the connection with a peer has ended or could not be had, on either side and however. Nothing
	// is sent to that address until Probe has found it again, or its messages come: what is sent to one that is not there
	// waits for seconds, and is then gone, and Lost does not say so again. It returns promptly, as other peers' ends wait
	// for it. nil: not called.
	Lost func(address string)

	Log     *slog.Logger // what was refused, and why; nil: nowhere
	Several bool         // this process may have other links: for tests, as gRPC's log is set anew, unguarded
}

const (
	defaultMaxMessage = 4 << 20
	mostMaxMessage    = 64 << 20
)

// complete fills in defaults and says what is not safe.
func (c *Config) complete() error {
	host, err := hostOf("listen on", c.Listen)
	if err != nil {
		return err
	}
	if c.Advertise == "" && unspecified(host) {
		return fmt.Errorf("link: listen on %s: peers cannot reach %q: name the host in the address, or advertise one that they reach", c.Listen, host)
	}
	if c.Advertise != "" {
		advertised, err := hostOf("advertise", c.Advertise)
		if err != nil {
			return err
		}
		if unspecified(advertised) {
			return fmt.Errorf("link: advertise %s: peers cannot reach %q: name the host", c.Advertise, advertised)
		}
	}
	switch {
	case (c.Server == nil) != (c.Client == nil):
		return fmt.Errorf("link: listen on %s: TLS for one direction only: give settings for server and client, or none for plain text on loopback", c.Listen)
	case c.Server == nil && !loopback(host):
		return fmt.Errorf("link: listen on %s: plain text on a host that others can reach: use certificates, or listen on 127.0.0.1", c.Listen)
	case c.Server != nil:
		if c.Server, err = securedServer(c.Server); err != nil {
			return err
		}
		if c.Client, err = securedClient(c.Client); err != nil {
			return err
		}
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMaxMessage
	}
	if c.MaxMessage < 0 || c.MaxMessage > mostMaxMessage {
		return fmt.Errorf("link: messages of %d bytes, want at most %d: send large ones in pieces", c.MaxMessage, mostMaxMessage)
	}
	if c.Lost == nil {
		c.Lost = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// advertised is the address with the port that is listened on.
func (c *Config) advertised(port int) string {
	if c.Advertise == "" {
		host, _, _ := net.SplitHostPort(c.Listen)
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	host, given, _ := net.SplitHostPort(c.Advertise)
	if given == "0" {
		given = strconv.Itoa(port)
	}
	return net.JoinHostPort(host, given)
}

// maxAddress is the longest HOST:PORT: a name of the domain name system and a port.
const maxAddress = 253 + 6

// hostOf checks HOST:PORT and returns the host.
func hostOf(what, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || len(address) > maxAddress || strings.ContainsFunc(host, strange) {
		return "", fmt.Errorf("link: %s %.300q, want HOST:PORT, as 192.168.0.7:7000 or [::1]:7000", what, address)
	}
	if _, err := portOf(port); err != nil {
		return "", fmt.Errorf("link: %s %s: port %q, want 0 to 65535", what, address, port)
	}
	return host, nil
}

// strange is true for what no host name or address has.
func strange(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == '@' }

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// loopback says whether only this machine reaches the host. A name is not looked up: what it means may change.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
