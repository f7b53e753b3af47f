package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Days that certificates are good for, where nothing else is said, and at most.
const (
	AuthorityDays = 3650
	NodeDays      = 365
	mostDays      = 36500
)

// skew is how far the clock of another host may be behind this one's.
const skew = time.Hour

// MakeAuthority makes an authority in a directory, which is made if it is not there. An authority that is there is
// replaced only with force: what it has signed is of no more use then.
func MakeAuthority(dir string, days int, force bool) (Certificate, error) {
	if err := checkDays(days); err != nil {
		return Certificate{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Certificate{}, fmt.Errorf("credentials: %s: %w", dir, bare(err))
	}
	where := filesOf(dir, authorityName)
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "troupe authority of " + now.UTC().Format(time.DateOnly)},
		NotBefore: now.Add(-skew), NotAfter: now.AddDate(0, 0, days),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, // it signs nodes, no other authorities
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	c, err := sign(where, template, nil, force)
	if err != nil {
		return Certificate{}, err
	}
	return described(authorityName, where.cert, c), nil
}

// HasAuthority says whether a directory has a file of an authority.
func HasAuthority(dir string) bool {
	_, yes := filesOf(dir, authorityName).exists()
	return yes
}

// Make makes the certificate of a node, signed by the authority of the directory. Hosts are the names and addresses
// by which others reach the node. Files of that name are replaced only with force.
func Make(dir, name string, hosts []string, days int, force bool) (Certificate, error) {
	if err := CheckName(name); err != nil {
		return Certificate{}, err
	}
	if err := checkDays(days); err != nil {
		return Certificate{}, err
	}
	names, addresses, err := readHosts(hosts)
	if err != nil {
		return Certificate{}, err
	}
	authority, err := openAuthority(dir)
	if err != nil {
		return Certificate{}, err
	}
	now := time.Now()
	end := now.AddDate(0, 0, days)
	if last := authority.Leaf.NotAfter; end.After(last) {
		return Certificate{}, fmt.Errorf("credentials: %s: %d days, but its authority ends on %s: want at most %d days, or a new authority (troupe cert init --force)",
			name, days, last.UTC().Format(time.DateOnly), max(0, int(last.Sub(now).Hours()/24)))
	}
	where := filesOf(dir, name)
	c, err := sign(where, &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: end,
		DNSNames: names, IPAddresses: addresses,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority, force)
	if err != nil {
		return Certificate{}, err
	}
	return described(name, where.cert, c), nil
}

// Free says whether a certificate of that name could be made: whether the name is one, and not taken.
func Free(dir, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if file, yes := filesOf(dir, name).exists(); yes {
		return fmt.Errorf("credentials: %s is there: --force replaces it", file)
	}
	return nil
}

// sign makes a key and a certificate of it and writes both; without an authority it is one.
func sign(where files, template *x509.Certificate, authority *tls.Certificate, force bool) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", where.key, err)
	}
	parent, signer := template, any(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", where.cert, err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", where.cert, err)
	}
	return c, where.write(der, key, force)
}

// openAuthority reads an authority with its key, to sign with.
func openAuthority(dir string) (*tls.Certificate, error) {
	where := filesOf(dir, authorityName)
	cert, _, err := read(where.cert)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %s: no authority there: troupe cert init makes one", dir)
	}
	if err != nil {
		return nil, err
	}
	key, err := readKey(where.key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %s is not there: certificates are made where the authority was, and copied from there", where.key)
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s and %s: %w", where.cert, where.key, err)
	}
	if err := checkAuthority(pair.Leaf); err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", where.cert, err)
	}
	return &pair, nil
}

// checkAuthority says why a certificate does not vouch for others, now.
func checkAuthority(c *x509.Certificate) error {
	switch now := time.Now(); {
	case !c.IsCA || !c.BasicConstraintsValid:
		return errors.New("it is no authority's certificate")
	case now.After(c.NotAfter):
		return fmt.Errorf("the authority has ended on %s: troupe cert init --force makes a new one, and nodes need new certificates", c.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the authority begins on %s: is the clock right?", c.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

func checkDays(days int) error {
	if days < 1 || days > mostDays {
		return fmt.Errorf("credentials: %d days, want 1 to %d", days, mostDays)
	}
	return nil
}
