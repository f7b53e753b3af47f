package credentials

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	authorityName = "ca"
	certEnd       = ".pem"
	keyEnd        = ".key"
	maxFile       = 1 << 20 // bytes
)

// files are where a certificate and its key are.
type files struct{ cert, key string }

func filesOf(dir, name string) files {
	return files{filepath.Join(dir, name+certEnd), filepath.Join(dir, name+keyEnd)}
}

// exists says whether one of them is there.
func (f files) exists() (file string, yes bool) {
	for _, file := range []string{f.cert, f.key} {
		if _, err := os.Lstat(file); err == nil {
			return file, true
		}
	}
	return "", false
}

// read reads a file of at most maxFile; pipes and devices would not end.
func read(file string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("credentials: %s: %w", file, bare(err))
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("credentials: %s: it is no file", file)
	case info.Size() > maxFile:
		return nil, nil, fmt.Errorf("credentials: %s: %d bytes, want at most %d", file, info.Size(), maxFile)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("credentials: %s: %w", file, bare(err))
	}
	return b, info, nil
}

// readKey reads a key that is its user's alone.
func readKey(file string) ([]byte, error) {
	b, info, err := read(file)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 { // there, other users are kept out otherwise
		return nil, fmt.Errorf("credentials: %s: others can read this key (mode %04o): chmod 600 %s", file, mode, file)
	}
	return b, nil
}

// readCertificates reads the certificates of a file, one or more.
func readCertificates(file string) ([]*x509.Certificate, error) {
	b, _, err := read(file)
	if err != nil {
		return nil, err
	}
	list, err := parseCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", file, err)
	}
	return list, nil
}

func parseCertificates(b []byte) (list []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %.40q, want certificates alone", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("no certificate in it, want PEM, which begins with -----BEGIN CERTIFICATE-----")
	}
	return list, nil
}

// write writes a certificate and its key. Each file is there whole or not at all, and the key never for others. With
// force both may be there already, and are replaced one after the other.
func (f files) write(der []byte, key *ecdsa.PrivateKey, force bool) error {
	if file, yes := f.exists(); yes && !force {
		return fmt.Errorf("credentials: %s is there: --force replaces it", file)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("credentials: %s: %w", f.key, err)
	}
	if err := place(f.key, "PRIVATE KEY", pkcs8, 0o600); err != nil {
		return err
	}
	return place(f.cert, "CERTIFICATE", der, 0o644)
}

// place writes beside a file and then takes its place.
func place(file, kind string, der []byte, mode fs.FileMode) (err error) {
	t, err := os.CreateTemp(filepath.Dir(file), ".new-*") // for the user alone
	if err != nil {
		return fmt.Errorf("credentials: %s: %w", file, bare(err))
	}
	defer func() {
		if err != nil {
			_ = os.Remove(t.Name())
			err = fmt.Errorf("credentials: %s: %w", file, bare(err))
		}
	}()
	err = errors.Join(pem.Encode(t, &pem.Block{Type: kind, Bytes: der}), t.Chmod(mode), t.Sync(), t.Close())
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), file)
}

// bare takes operation and path out of an error of the operating system, for messages that name the path.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
