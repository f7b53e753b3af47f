package place

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Host is a machine: that of this process, whose Address is empty, or a worker's.
type Host struct {
	Address string // HOST:PORT of the worker; "": this process
	Name    string // a name of its own, as placement files give; "": none
	Link    Link   // between this process and the worker
	// What all its devices reach together, where that is less than the sum of what each reaches alone; 0: the sum.
	Bandwidth float64 // bytes a second
	Flops     float64 // operations a second
}

// Link is a way to a host and back.
type Link struct {
	Latency   float64 // seconds, one way; 0: not stated
	Bandwidth float64 // bytes a second, each way; 0: not stated
}

// Stated reports whether anything is said of the link.
func (l Link) Stated() bool { return l != Link{} }

// seconds is what so many bytes take one way. What is not stated costs nothing.
func (l Link) seconds(bytes float64) float64 { return l.Latency + per(bytes, l.Bandwidth) }

// per is n at so many a second; what has no rate takes no time.
func per(n, rate float64) float64 {
	if rate == 0 {
		return 0
	}
	return n / rate
}

// hostOf is what is known of an address; that alone where nothing is.
func hostOf(hosts []Host, address string) Host {
	if i := slices.IndexFunc(hosts, func(h Host) bool { return h.Address == address }); i >= 0 {
		return hosts[i]
	}
	return Host{Address: address}
}

var addressForm = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})$`)

// CheckAddress reports what is no address of a worker: HOST:PORT, or [IPv6]:PORT.
func CheckAddress(address string) error {
	m := addressForm.FindStringSubmatch(address)
	if m != nil {
		if port, err := strconv.Atoi(m[1]); err == nil && port >= 1 && port <= 65535 {
			return nil
		}
	}
	return fmt.Errorf("address %.80q, want HOST:PORT, as a.example:7000 or [::1]:7000", address)
}

var rates = map[string]float64{"bit": 1. / 8, "kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8, "tbit": 1e12 / 8}

// ParseRate reads bytes a second: as ParseBytes, or bits with bit, kbit, Mbit, Gbit or Tbit; "/s" may follow.
// 10Gbit is 1.25·10⁹.
func ParseRate(s string) (float64, error) {
	word := strings.ToLower(strings.TrimSuffix(s, "/s"))
	digits := strings.TrimRight(word, "bitkmg")
	unit, ok := rates[word[len(digits):]]
	if !ok {
		unit, ok = units[word[len(digits):]]
	}
	if v, err := parsePositive(digits, unit); ok && err == nil {
		return v, nil
	}
	return 0, fmt.Errorf("rate %.40q, want bytes or bits a second, as 20GB or 10Gbit", s)
}

var operations = map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}

// ParseFlops reads operations a second: a number with k, M, G, T or P, as 400G; "/s" may follow.
func ParseFlops(s string) (float64, error) {
	word := strings.ToLower(strings.TrimSuffix(s, "/s"))
	digits := strings.TrimRight(word, "kmgtp")
	if unit, ok := operations[word[len(digits):]]; ok {
		if v, err := parsePositive(digits, unit); err == nil {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%.40q, want operations a second, as 400G or 1.5T", s)
}

var spans = map[string]float64{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1}

// ParseLatency reads a time in seconds with ns, us, ms or s: 0.2ms.
func ParseLatency(s string) (float64, error) {
	digits := strings.TrimRight(s, "nuµms")
	if unit, ok := spans[s[len(digits):]]; ok {
		if v, err := parsePositive(digits, unit); err == nil && v <= 60 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("latency %.40q, want a time of at most 60s with ns, us, ms or s, as 0.2ms", s)
}

// ParseLink reads LATENCY/RATE: 0.2ms/10Gbit.
func ParseLink(s string) (l Link, err error) {
	latency, rate, ok := strings.Cut(s, "/")
	if !ok {
		return l, fmt.Errorf("link %.80q, want LATENCY/RATE, as 0.2ms/10Gbit", s)
	}
	if l.Latency, err = ParseLatency(latency); err == nil {
		l.Bandwidth, err = ParseRate(rate)
	}
	return l, err
}

// parsePositive reads a plain decimal number and multiplies it.
func parsePositive(digits string, unit float64) (float64, error) {
	v, err := strconv.ParseFloat(digits, 64)
	if v *= unit; err != nil || !(v >= 1e-12 && v < 1e18) || strings.ContainsAny(digits, "xXpPeE_+") {
		return 0, fmt.Errorf("%.40q, want a number above 0", digits)
	}
	return v, nil
}

// FormatRate writes bytes a second for people, to three digits: 1.25 GB.
func FormatRate(rate float64) string { return short(rate, " ", byteUnits) }

// FormatFlops writes operations a second for people, to three digits: 400 G.
func FormatFlops(rate float64) string { return short(rate, " ", flopUnits) }

// FormatLatency writes seconds for people, to three digits: 0.2 ms.
func FormatLatency(seconds float64) string { return short(seconds*1e9, " ", timeUnits) }

var (
	byteUnits = []string{"B", "kB", "MB", "GB", "TB"}
	flopUnits = []string{"", "k", "M", "G", "T", "P"}
	timeUnits = []string{"ns", "us", "ms", "s"}
)

func short(v float64, between string, units []string) string {
	i := 0
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1000
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strings.TrimRight(strconv.FormatFloat(v, 'f', -1, 64)+between+units[i], " ")
}

// ExactRate writes bytes a second so that ParseRate reads the same number.
func ExactRate(rate float64) string { return exact(rate, ParseRate, byteUnits) }

// ExactFlops writes operations a second so that ParseFlops reads the same number.
func ExactFlops(rate float64) string { return exact(rate, ParseFlops, flopUnits) }

// ExactLatency writes seconds so that ParseLatency reads the same number.
func ExactLatency(seconds float64) string { return exact(seconds, ParseLatency, timeUnits) }

// exact writes v with the unit that makes it shortest.
func exact(v float64, parse func(string) (float64, error), units []string) (best string) {
	for _, unit := range units {
		size, err := parse("1" + unit)
		if err != nil {
			panic("BUG: place: unit " + unit + ": " + err.Error())
		}
		s := strconv.FormatFloat(v/size, 'f', -1, 64) + unit
		if back, err := parse(s); err == nil && back == v && (best == "" || len(s) <= len(best)) {
			best = s
		}
	}
	return best
}
