package credentials

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Certificate is what a certificate says, and whether it can be used.
type Certificate struct {
	Name        string // of its files, without their ends; "ca" is the authority
	File        string
	Authority   bool     // it signs those of nodes
	Hosts       []string // names and addresses that it is for; none of an authority
	From, Until time.Time
	Fingerprint string // SHA256:… in hexadecimal, of the whole certificate
	Problem     error  // why it cannot be used; nil if it can
}

// soon is how long before its end a certificate is to be replaced.
const soon = 30 * 24 * time.Hour

// Soon says whether the certificate ends within 30 days.
func (c Certificate) Soon() bool { return time.Until(c.Until) < soon }

// described is a certificate's data, without a look at whether it is good.
func described(name, file string, c *x509.Certificate) Certificate {
	d := Certificate{Name: name, File: file, Authority: name == authorityName, From: c.NotBefore, Until: c.NotAfter, Fingerprint: fmt.Sprintf("SHA256:%x", sha256.Sum256(c.Raw))}
	d.Hosts = append(d.Hosts, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		d.Hosts = append(d.Hosts, ip.String())
	}
	return d
}

// maxHosts bounds the hosts of a certificate; maxHost is the longest name of the domain name system.
const (
	maxHosts = 100
	maxHost  = 253
	maxName  = 64
)

// CheckName wants a name that is a file's on every system.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && r != '-' && r != '.' && r != '_' })
	if !ok || name[0] == '-' || name[0] == '.' || strings.EqualFold(name, authorityName) {
		return fmt.Errorf("credentials: name %.80q, want 1 to %d letters, digits, \".\", \"-\", \"_\", the first a letter or digit, and not %q", name, maxName, authorityName)
	}
	return nil
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }

// NameOf is a name of files for the certificate of a host.
func NameOf(host string) string {
	if strings.Contains(host, ":") {
		return "ip6-" + strings.ReplaceAll(strings.Trim(host, ":"), ":", "-")
	}
	return host
}

// CheckHosts wants names and addresses that a certificate can be for.
func CheckHosts(hosts []string) error {
	_, _, err := readHosts(hosts)
	return err
}

// readHosts takes names and addresses apart.
func readHosts(hosts []string) (names []string, addresses []net.IP, err error) {
	if len(hosts) == 0 || len(hosts) > maxHosts {
		return nil, nil, fmt.Errorf("credentials: %d hosts, want 1 to %d: names or addresses by which others reach the node", len(hosts), maxHosts)
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil && ip.Zone() == "" {
			if ip.IsUnspecified() {
				return nil, nil, fmt.Errorf("credentials: host %s is every address of a machine: name those that others reach", h)
			}
			addresses = append(addresses, net.IP(ip.Unmap().AsSlice()))
			continue
		}
		if !isHostName(h) {
			return nil, nil, fmt.Errorf("credentials: host %.300q, want a name or an address, as a.example, 10.0.0.3 or fd00::3, without a port", h)
		}
		if name := strings.ToLower(h); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, addresses, nil
}

// isHostName says whether a text is a name of the domain name system; others are to be given in their ASCII form.
func isHostName(h string) bool {
	if h == "" || len(h) > maxHost {
		return false
	}
	numeric := true // of the last label: such a name is a mistyped address
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		numeric = true
		for _, r := range label {
			if !letter(r) && r != '-' && r != '_' {
				return false
			}
			numeric = numeric && r >= '0' && r <= '9'
		}
	}
	return !numeric
}
