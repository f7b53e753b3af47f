package placement

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"troupe/stages/place"
)

// readHosts reads machines: those of workers with their devices, and without an address what this one can do.
func (f *File) readHosts(_ *mapping, n ast.Node) error {
	list, err := readList(n, "hosts", maxDevices)
	if err != nil {
		return err
	}
	names, addresses := map[string]int{}, map[string]int{}
	for _, entry := range list {
		m, err := readMapping(entry, "hosts", "name", "address", "devices", "link", "bandwidth", "flops")
		if err != nil {
			return err
		}
		h, err := m.readHost()
		if err != nil {
			return err
		}
		if first, twice := names[h.Name]; twice {
			return at(m.line, "hosts: name %q stands twice, first in line %d", h.Name, first)
		}
		if first, twice := addresses[h.Address]; twice {
			return at(m.line, "hosts: %s stands twice, first in line %d", addressOf(h), first)
		}
		names[h.Name], addresses[h.Address] = m.line, m.line
		f.Hosts = append(f.Hosts, h)
		if h.Address == "" {
			if m.has("devices") || m.has("link") {
				return at(m.line, "hosts: %s has no address, so it is this host: its devices stand in devices, and no link leads there", h.Name)
			}
			if h.Bandwidth == 0 && h.Flops == 0 {
				return at(m.line, "hosts: %s has no address, so it is this host, and nothing is said of it: want bandwidth or flops of all its devices together, or an address", h.Name)
			}
			continue
		}
		if err := f.readHostDevices(m, h); err != nil {
			return err
		}
	}
	return nil
}

func addressOf(h place.Host) string {
	if h.Address == "" {
		return "this host, without an address,"
	}
	return "address " + h.Address
}

func (m *mapping) readHost() (h place.Host, err error) {
	if h.Name, err = m.text("name"); err != nil {
		return h, err
	}
	if err := (place.Device{Label: h.Name, Name: "cpu"}).Check(); err != nil {
		return h, at(m.lineOf("name"), "hosts: %w", err)
	}
	if m.has("address") {
		if h.Address, err = m.text("address"); err != nil {
			return h, err
		}
		if err := place.CheckAddress(h.Address); err != nil {
			return h, at(m.lineOf("address"), "hosts: %w", err)
		}
	}
	if n := m.values["link"]; n != nil {
		l, err := readMapping(n, "hosts: link", "latency", "bandwidth")
		if err != nil {
			return h, err
		}
		if err := l.readRate("latency", place.ParseLatency, &h.Link.Latency); err != nil {
			return h, err
		}
		if err := l.readRate("bandwidth", place.ParseRate, &h.Link.Bandwidth); err != nil {
			return h, err
		}
	}
	return h, m.readRates(&h.Bandwidth, &h.Flops)
}

// readHostDevices reads how many devices a worker has, or a list of them.
func (f *File) readHostDevices(m *mapping, h place.Host) error {
	add := func(d place.Device, line int) error {
		d.Host = h.Address
		if d.Label == "" {
			d.Label = fmt.Sprintf("%s/%d", h.Name, d.Number)
		}
		if len(f.Devices) >= maxDevices {
			return at(line, "hosts: more than %d devices in all", maxDevices)
		}
		f.Devices = append(f.Devices, Device{d, line})
		return nil
	}
	n := m.values["devices"]
	if _, ok := n.(*ast.SequenceNode); n == nil || !ok {
		if _, ok := scalar(n); n != nil && !ok {
			return at(m.lineOf("devices"), "hosts: devices: want a number, or a list of them with kind, threads and memory")
		}
		count, err := m.number("devices", 1, maxDevices)
		for i := range count {
			if err == nil {
				err = add(place.Device{Name: "cpu", Number: i}, m.lineOf("devices"))
			}
		}
		return err
	}
	list, err := readList(n, "hosts: devices", maxDevices)
	if err != nil {
		return err
	}
	numbers := map[int]int{}
	for i, entry := range list {
		d := place.Device{Name: "cpu", Number: i}
		m, err := readMapping(entry, "hosts: devices", append([]string{"number"}, deviceKeys...)...)
		if err == nil && m.has("name") {
			d.Label, err = m.text("name")
		}
		if err == nil && m.has("number") {
			d.Number, err = m.number("number", 0, maxDevices-1)
		}
		if err == nil {
			err = m.readDevice(&d)
		}
		if err != nil {
			return err
		}
		if first, twice := numbers[d.Number]; twice {
			return at(m.line, "hosts: devices: number %d of the worker stands twice, first in line %d", d.Number, first)
		}
		numbers[d.Number] = m.line
		if err := add(d, m.line); err != nil {
			return err
		}
	}
	return nil
}
