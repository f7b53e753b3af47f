package link

import (
	"crypto/tls"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"
)

// What is not safe, or cannot work, is an error before anything listens.
func TestConfig(t *testing.T) {
	a := newAuthority(t)
	good := a.secure(t, "127.0.0.1", soon())
	cases := map[string]struct {
		change func(*Config)
		want   string // "" for none
	}{
		"as it is":                  {func(c *Config) {}, ""},
		"every host, advertised":    {func(c *Config) { c.Listen, c.Advertise = "0.0.0.0:0", "a.example:7000" }, ""},
		"every host":                {func(c *Config) { c.Listen = "0.0.0.0:0" }, "advertise one"},
		"every host, version 6":     {func(c *Config) { c.Listen = "[::]:0" }, "advertise one"},
		"no host":                   {func(c *Config) { c.Listen = ":7000" }, "advertise one"},
		"advertised nowhere":        {func(c *Config) { c.Advertise = "0.0.0.0:7000" }, "name the host"},
		"no port":                   {func(c *Config) { c.Listen = "127.0.0.1" }, "want HOST:PORT"},
		"a port's name":             {func(c *Config) { c.Listen = "127.0.0.1:http" }, "want 0 to 65535"},
		"an URL":                    {func(c *Config) { c.Listen = "http://127.0.0.1:80" }, "want HOST:PORT"},
		"one direction":             {func(c *Config) { c.Client = nil }, "one direction only"},
		"plain text on loopback":    {func(c *Config) { c.Server, c.Client = nil, nil }, ""},
		"plain text":                {func(c *Config) { c.Server, c.Client, c.Listen = nil, nil, "192.0.2.1:7000" }, "plain text on a host"},
		"plain text everywhere":     {func(c *Config) { c.Server, c.Client, c.Listen, c.Advertise = nil, nil, "0.0.0.0:7000", "127.0.0.1:0" }, "plain text on a host"},
		"strangers":                 {func(c *Config) { c.Server.ClientAuth = tls.VerifyClientCertIfGiven }, "without a certificate"},
		"any authority":             {func(c *Config) { c.Server.ClientCAs = nil }, "any public authority"},
		"no certificate":            {func(c *Config) { c.Server.Certificates = nil }, "no certificate"},
		"any server":                {func(c *Config) { c.Client.InsecureSkipVerify = true }, "takes any server"},
		"any authority's servers":   {func(c *Config) { c.Client.RootCAs = nil }, "any public authority"},
		"a client without one":      {func(c *Config) { c.Client.Certificates = nil }, "no certificate"},
		"large messages":            {func(c *Config) { c.MaxMessage = mostMaxMessage + 1 }, "in pieces"},
		"messages of negative size": {func(c *Config) { c.MaxMessage = -1 }, "in pieces"},
	}
	for name, k := range cases {
		c := good
		c.Server, c.Client = good.Server.Clone(), good.Client.Clone()
		k.change(&c)
		err := c.complete()
		if (err == nil) != (k.want == "") || err != nil && !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s: got %v, want %q", name, err, k.want)
		}
	}
}

// Settings that are read again for each connection are not weaker than those of the beginning.
func TestServerThatChanges(t *testing.T) {
	a := newAuthority(t)
	good := a.secure(t, "127.0.0.1", soon())
	now := good.Server
	c := good
	c.Server = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return now, nil }}
	l, _ := started(t, c)
	here, _ := started(t, good)
	if err := here.Probe(patient(t), l.Address()); err != nil {
		t.Error(err)
	}
	stranger := credentials.NewTLS(&tls.Config{RootCAs: a.pool})
	for name, weak := range map[string]*tls.Config{"no demand": {Certificates: good.Server.Certificates}, "nothing": nil} {
		now = weak
		if err := says(t, dialer(t, l, stranger), connectFrame(t, peerAddress)); err == nil || strings.Contains(err.Error(), "link:") {
			t.Errorf("%s: %v, want that the handshake fails", name, err)
		}
	}
}
