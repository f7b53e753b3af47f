package link

import (
	"crypto/tls"
	"errors"
)

// securedServer is a copy of the settings that is not weaker than promised, whatever they say now or are changed to.
func securedServer(c *tls.Config) (*tls.Config, error) {
	s := c.Clone()
	s.MinVersion, s.MaxVersion = tls.VersionTLS13, 0
	later := s.GetConfigForClient
	if later == nil {
		return s, demanding(s)
	}
	s.ClientAuth = tls.RequireAndVerifyClientCert // where later returns nil, these settings hold
	s.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now, err := later(hello)
		if err != nil {
			return nil, err
		}
		if now == nil {
			return nil, demanding(s)
		}
		now = now.Clone()
		now.MinVersion, now.MaxVersion, now.GetConfigForClient = tls.VersionTLS13, 0, nil
		now.NextProtos = []string{"h2"} // gRPC has set it in the other settings
		return now, demanding(now)
	}
	return s, nil
}

// demanding says whether a server's settings turn strangers away.
func demanding(c *tls.Config) error {
	switch {
	case c.ClientAuth != tls.RequireAndVerifyClientCert:
		return errors.New("link: TLS of the server: it takes peers without a certificate: require and verify them")
	case c.ClientCAs == nil:
		return errors.New("link: TLS of the server: any public authority is trusted: name the authority of the peers")
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return errors.New("link: TLS of the server: no certificate: give one")
	}
	return nil
}

// securedClient is the same for the connections that go out.
func securedClient(c *tls.Config) (*tls.Config, error) {
	s := c.Clone()
	s.MinVersion, s.MaxVersion = tls.VersionTLS13, 0
	switch {
	case s.InsecureSkipVerify && s.VerifyConnection == nil:
		return nil, errors.New("link: TLS of the client: it takes any server: have the certificate verified")
	case s.RootCAs == nil && !s.InsecureSkipVerify:
		return nil, errors.New("link: TLS of the client: any public authority is trusted: name the authority of the peers")
	case len(s.Certificates) == 0 && s.GetClientCertificate == nil:
		return nil, errors.New("link: TLS of the client: no certificate, and peers want one: give one")
	}
	return s, nil
}
