package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Identity is who this process is for others, and whom it lets in.
type Identity struct {
	Certificate

	// Server and Client are TLS 1.3 with certificates on both sides, each verified by the authorities of ca.pem. Files
	// of the node that are replaced while it runs serve new connections; ca.pem is read once.
	Server, Client *tls.Config
}

// Load reads the certificate of a node; name "" is the only one in the directory. Everything is checked that makes
// connections fail later, and each error says what to do. When the node's files change later, changed is called: with
// the error if they cannot be used, and the ones before serve on. nil: not called.
func Load(dir, name string, changed func(Certificate, error)) (*Identity, error) {
	if name == "" {
		var err error
		if name, err = only(dir); err != nil {
			return nil, err
		}
	} else if err := CheckName(name); err != nil {
		return nil, err
	}
	roots, err := authorities(dir)
	if err != nil {
		return nil, err
	}
	if changed == nil {
		changed = func(Certificate, error) {}
	}
	k := &keeper{name: name, files: filesOf(dir, name), roots: roots, changed: changed}
	k.seen = k.stamp()
	pair, about, err := readNode(k.name, k.files, k.roots)
	if err != nil {
		return nil, err
	}
	k.pair = pair
	return &Identity{
		Certificate: about,
		Server: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current(), nil },
		},
		Client: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: roots,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.current(), nil },
		},
	}, nil
}

// Covers says whether the certificate is for a host, a name or an address: peers refuse it for others.
func (i *Identity) Covers(host string) error {
	pair, _ := i.Server.GetCertificate(nil) // the keeper's, which does not fail
	if err := pair.Leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("credentials: %s is for %s, not for %.300q: troupe cert add %s --host %s --host %s --force", i.File, strings.Join(i.Hosts, ", "), host, i.Name, strings.Join(i.Hosts, " --host "), host)
	}
	return nil
}

// Split reads DIR or DIR/NAME.
func Split(path string) (dir, name string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path, ""
	}
	dir, name = filepath.Dir(path), strings.TrimSuffix(filepath.Base(path), certEnd)
	if _, yes := filesOf(dir, name).exists(); CheckName(name) == nil && (yes || HasAuthority(dir)) {
		return dir, name
	}
	return path, ""
}

// only is the name of the one node in a directory.
func only(dir string) (string, error) {
	names, err := nodes(dir)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("credentials: %s: no certificate of a node there: troupe cert add NAME --host HOST makes one", dir)
	case len(names) > 1:
		return "", fmt.Errorf("credentials: %s has several certificates, %s: name one, as %s", dir, strings.Join(names, ", "), filepath.Join(dir, names[0]))
	}
	return names[0], nil
}

// maxNodes bounds what is looked at in a directory.
const maxNodes = 10_000

// nodes are the names of the certificates in a directory, but the authority's.
func nodes(dir string) (names []string, err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %s is not there: troupe cert makes an authority and certificates", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", dir, bare(err))
	}
	defer d.Close()
	entries, err := d.Readdirnames(maxNodes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("credentials: %s: %w", dir, bare(err))
	}
	if len(entries) == maxNodes {
		return nil, fmt.Errorf("credentials: %s has %d files or more: name a directory of certificates", dir, maxNodes)
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e, certEnd); ok && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// authorities reads ca.pem. It may have several, so that one can be replaced while both are good.
func authorities(dir string) (*x509.CertPool, error) {
	file := filesOf(dir, authorityName).cert
	list, err := readCertificates(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %s is not there: troupe cert makes it, or copy it from where the certificates were made", file)
	}
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	var bad error
	good := 0
	for _, c := range list {
		if err := checkAuthority(c); err != nil {
			bad = err
			continue
		}
		pool.AddCert(c)
		good++
	}
	if good == 0 {
		return nil, fmt.Errorf("credentials: %s: %w", file, bad)
	}
	return pool, nil
}

// readNode reads a node's certificate and key and checks them.
func readNode(name string, where files, roots *x509.CertPool) (*tls.Certificate, Certificate, error) {
	cert, _, err := read(where.cert)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Certificate{}, fmt.Errorf("credentials: %s is not there: troupe cert add %s --host HOST makes it", where.cert, name)
	}
	if err != nil {
		return nil, Certificate{}, err
	}
	key, err := readKey(where.key)
	if err != nil {
		return nil, Certificate{}, err
	}
	chain, err := parseCertificates(cert)
	if err != nil {
		return nil, Certificate{}, fmt.Errorf("credentials: %s: %w", where.cert, err)
	}
	about := described(name, where.cert, chain[0])
	if about.Problem = checkNode(chain, roots); about.Problem != nil {
		return nil, about, fmt.Errorf("credentials: %s: %w", where.cert, about.Problem)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, about, fmt.Errorf("credentials: %s and %s do not belong together, or are no PEM: %w", where.cert, where.key, err)
	}
	return &pair, about, nil
}

// checkNode says why a node's certificate, with those between it and an authority behind it, is of no use.
func checkNode(chain []*x509.Certificate, roots *x509.CertPool) error {
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use}})
		var (
			invalid x509.CertificateInvalidError
			unknown x509.UnknownAuthorityError
		)
		switch {
		case err == nil:
		case time.Now().After(leaf.NotAfter):
			return fmt.Errorf("it has ended on %s: troupe cert add --force makes a new one", leaf.NotAfter.UTC().Format(time.DateOnly))
		case time.Now().Before(leaf.NotBefore):
			return fmt.Errorf("it begins on %s: is the clock right?", leaf.NotBefore.UTC().Format(time.DateTime))
		case errors.As(err, &unknown):
			return errors.New("it is not of the authority in ca.pem: make it anew with troupe cert add --force, or copy the ca.pem that belongs to it")
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
			return errors.New("it is not for both ends of a connection: want the extended usages of a server and of a client")
		default:
			return err
		}
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		return errors.New("it names no host: peers refuse it: troupe cert add --host HOST --force makes one that does")
	}
	return nil
}

// keeper has a node's certificate, and reads it again when its files have changed.
type keeper struct {
	name    string
	files   files
	roots   *x509.CertPool
	changed func(Certificate, error)

	mu   sync.Mutex
	pair *tls.Certificate
	seen stamps
}

// stamps are times and sizes of the two files.
type stamps [2]struct {
	when time.Time
	size int64
}

func (k *keeper) stamp() (s stamps) {
	for i, file := range []string{k.files.cert, k.files.key} {
		if info, err := os.Stat(file); err == nil {
			s[i].when, s[i].size = info.ModTime(), info.Size()
		}
	}
	return s
}

// current is asked for every connection, so two calls of the system are no matter.
func (k *keeper) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.stamp()
	if now == k.seen {
		return k.pair
	}
	k.seen = now
	pair, about, err := readNode(k.name, k.files, k.roots)
	if err == nil {
		k.pair = pair
	}
	k.changed(about, err)
	return k.pair
}
