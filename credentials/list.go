package credentials

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// List describes the certificates of a directory: authorities first, then nodes by name, each with what is wrong with
// it. The error is one of the directory, or of ca.pem where nothing else can be said.
func List(dir string) ([]Certificate, error) {
	names, err := nodes(dir)
	if err != nil {
		return nil, err
	}
	file := filesOf(dir, authorityName).cert
	list, err := readCertificates(file)
	if errors.Is(err, fs.ErrNotExist) && len(names) == 0 {
		return nil, fmt.Errorf("credentials: %s: no certificates there: troupe cert makes an authority and certificates", dir)
	}
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	var all []Certificate
	for _, c := range list {
		d := described(authorityName, file, c)
		if d.Problem = checkAuthority(c); d.Problem == nil {
			roots.AddCert(c)
		}
		all = append(all, d)
	}
	for _, name := range names {
		all = append(all, look(name, filesOf(dir, name), roots))
	}
	return slices.Clip(all), nil
}

// look describes a node's certificate, as far as it can be read.
func look(name string, where files, roots *x509.CertPool) Certificate {
	_, about, err := readNode(name, where, roots)
	if about.Name == "" { // a file was not read
		about = Certificate{Name: name, File: where.cert}
		if chain, err := readCertificates(where.cert); err == nil {
			about = described(name, where.cert, chain[0])
		}
	}
	about.Problem = err
	return about
}
