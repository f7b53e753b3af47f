package actors

import (
	"fmt"
	"strconv"
	"strings"
)

// Target names a device: of this process, or of a worker.
type Target struct {
	Host   string // address of the worker; "": this process
	Number int    // which one of those that it has
}

const localName = "local"

// String is how ParseTarget reads it: local/0, b:7000/1.
func (t Target) String() string {
	host := t.Host
	if host == "" {
		host = localName
	}
	return host + "/" + strconv.Itoa(t.Number)
}

// ParseTarget reads HOST:PORT or local, and the number of the device behind a slash: 0 when there is none.
func ParseTarget(s string) (t Target, err error) {
	host, number, found := strings.Cut(s, "/")
	if found {
		if t.Number, err = strconv.Atoi(number); err != nil || t.Number < 0 {
			return t, fmt.Errorf("device %q of %q: want a number from 0", number, s)
		}
	}
	switch {
	case host == localName:
	case strings.Contains(host, ":"):
		t.Host = host
	default:
		return t, fmt.Errorf("%q is neither local nor a worker's HOST:PORT, as in local/0 or b:7000/1", host)
	}
	return t, nil
}

// targetOf is a device by its name: those of this process are counted in their order.
func (e *Engine) targetOf(device int) Target {
	d := e.devices[device]
	if d.host != nil {
		return Target{d.Host, d.Number}
	}
	n := 0
	for _, before := range e.devices[:device] {
		if before.host == nil {
			n++
		}
	}
	return Target{"", n}
}

// find is the device of a name.
func (e *Engine) find(t Target) (int, error) {
	var all []string
	for i := range e.devices {
		if e.targetOf(i) == t {
			return i, nil
		}
		all = append(all, e.targetOf(i).String())
	}
	return 0, fmt.Errorf("actors: there is no device %v: there are %s", t, strings.Join(all, ", "))
}
