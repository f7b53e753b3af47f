package placement

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"troupe/stages/place"
)

// Local is the device of an expert's own layer, as the default or as the device of a rule.
const Local = "local"

const (
	maxDevices = 1024
	maxThreads = 4096
)

// File is a placement file that Parse has read.
type File struct {
	Name    string
	Devices []Device // of this process, then those of hosts; none: as many cpu devices as the mesh says
	Hosts   []place.Host
	Stages  []Stage // none: the layers are cut evenly
	Experts Experts
	Mesh    *Mesh // nil: not in the file
	Between *Mesh // between_hosts_config; nil: not in the file

	replicas []replica // none: one of everything
	deal     int       // replicas that the devices are dealt over; 0: not said
	dealLine int
}

// Device is an entry of devices. Its place.Device has the name as Label, and the kind as Name.
type Device struct {
	place.Device
	Line int
}

// Stage is an entry of stages.
type Stage struct {
	First, Last int // layer
	Device      string
	Line        int
}

// Experts say where experts live.
type Experts struct {
	Default string // a device, or Local
	Line    int    // of the default; 0: not in the file
	Rules   []Rule // a later one wins
}

// Rule puts experts of layers on a device.
type Rule struct {
	Layers  []Range // nil: all
	Experts []Range // nil: all
	Device  string  // or Local
	Line    int
}

// Range is a run of numbers, both ends included.
type Range struct{ First, Last int }

// Mesh is local_mesh_config or between_hosts_config of the reference's runner.
type Mesh struct {
	Data, Model int
	Line        int
}

// Parse reads a file. Its errors begin with the name and, where there is one, the line: NAME: line 7: devices: ….
func Parse(name string, raw []byte) (File, error) {
	f := File{Name: name, Experts: Experts{Default: Local}}
	err := f.parse(raw)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return f, err
}

func (f *File) parse(raw []byte) error {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // a byte-order mark
	if err := guard(raw); err != nil {
		return err
	}
	doc, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return syntax(err)
	}
	var body ast.Node
	for _, d := range doc.Docs {
		if body != nil && d.Body != nil {
			return at(lineOf(d.Body), "a second document: a file holds one placement")
		}
		if d.Body != nil {
			body = d.Body
		}
	}
	if body == nil {
		return fmt.Errorf("nothing in it: want devices and stages, as troupe plan --write-placement writes them")
	}
	m, err := readMapping(body, "", "devices", "stages", "experts", "hosts", "replicas", "local_mesh_config", "between_hosts_config")
	if err != nil {
		return err
	}
	for _, part := range []struct {
		key  string
		read func(*mapping, ast.Node) error
	}{
		{"devices", f.readDevices}, {"hosts", f.readHosts}, {"stages", f.readStages}, {"experts", f.readExperts}, {"replicas", f.readReplicas},
		{"local_mesh_config", f.readLocalMesh}, {"between_hosts_config", f.readBetweenHosts},
	} {
		if n := m.values[part.key]; n != nil {
			if err := part.read(m, n); err != nil {
				return err
			}
		}
	}
	if len(f.Devices) == 0 {
		if f.Mesh == nil {
			return fmt.Errorf("no devices: want a list such as devices: [{name: first, kind: cpu, threads: 2}], or local_mesh_config: [1, 2]")
		}
		f.addDevices()
	}
	if err := f.checkNames(); err != nil {
		return err
	}
	if err := f.checkBetween(); err != nil {
		return err
	}
	return f.divide(m)
}

func (f *File) readDevices(_ *mapping, n ast.Node) error {
	list, err := readList(n, "devices", maxDevices)
	if err != nil {
		return err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "devices", deviceKeys...)
		if err != nil {
			return err
		}
		d := Device{Device: place.Device{Name: "cpu"}, Line: m.line}
		if d.Label, err = m.text("name"); err == nil {
			err = m.readDevice(&d.Device)
		}
		if err != nil {
			return err
		}
		f.Devices = append(f.Devices, d)
	}
	return nil
}

var deviceKeys = []string{"name", "kind", "threads", "threads_prefill", "memory", "bandwidth", "flops"}

// readDevice reads all of a device but its name.
func (m *mapping) readDevice(d *place.Device) (err error) {
	if m.has("kind") {
		d.Name, err = m.text("kind")
	}
	if err == nil && m.has("threads") {
		d.Threads, err = m.number("threads", 1, maxThreads)
	}
	if err == nil && m.has("threads_prefill") {
		d.Prefill, err = m.number("threads_prefill", 1, maxThreads)
	}
	if err == nil && m.has("memory") {
		err = m.readBytes("memory", &d.Memory)
	}
	if err == nil {
		err = m.readRates(&d.Bandwidth, &d.Flops)
	}
	if err == nil && d.Prefill > 0 && d.Threads == 0 {
		err = at(m.lineOf("threads_prefill"), "%s: threads_prefill without threads: give both", m.where)
	}
	if err != nil {
		return err
	}
	if d.Prefill == d.Threads {
		d.Prefill = 0
	}
	if err := d.Check(); err != nil {
		return at(m.line, "%s: %w", m.where, err)
	}
	return nil
}

// readRates reads bandwidth and flops, where they are.
func (m *mapping) readRates(bandwidth, flops *float64) error {
	if err := m.readRate("bandwidth", place.ParseRate, bandwidth); err != nil {
		return err
	}
	return m.readRate("flops", place.ParseFlops, flops)
}

// readRate reads a number with a unit, where it is.
func (m *mapping) readRate(key string, parse func(string) (float64, error), v *float64) error {
	if !m.has(key) {
		return nil
	}
	s, err := m.text(key)
	if err != nil {
		return err
	}
	if *v, err = parse(s); err != nil {
		return at(m.lineOf(key), "%s: %s: %w", m.where, key, err)
	}
	return nil
}

func (f *File) readStages(_ *mapping, n ast.Node) (err error) {
	f.Stages, err = readStages(n)
	return err
}

func readStages(n ast.Node) (all []Stage, err error) {
	list, err := readList(n, "stages", maxNumber)
	if err != nil {
		return nil, err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "stages", "layers", "device")
		if err != nil {
			return nil, err
		}
		s := Stage{Line: m.line}
		spans, err := m.ranges("layers")
		if err == nil && len(spans) != 1 {
			err = at(m.lineOf("layers"), "stages: layers: %d ranges, want one, as 0-20: give each a stage", len(spans))
		}
		if err == nil {
			s.Device, err = m.text("device")
		}
		if err != nil {
			return nil, err
		}
		s.First, s.Last = spans[0].First, spans[0].Last
		all = append(all, s)
	}
	return all, nil
}

func (f *File) readExperts(_ *mapping, n ast.Node) (err error) {
	f.Experts, err = readExperts(n)
	return err
}

func readExperts(n ast.Node) (x Experts, err error) {
	x.Default = Local
	top, err := readMapping(n, "experts", "default", "rules")
	if err != nil {
		return x, err
	}
	if top.has("default") {
		x.Line = top.lineOf("default")
		if x.Default, err = top.text("default"); err != nil {
			return x, err
		}
	}
	if !top.has("rules") {
		return x, nil
	}
	list, err := readList(top.values["rules"], "experts: rules", maxNumber)
	if err != nil {
		return x, err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "experts: rules", "layers", "experts", "device")
		if err != nil {
			return x, err
		}
		r := Rule{Line: m.line}
		if m.has("layers") {
			r.Layers, err = m.ranges("layers")
		}
		if err == nil && m.has("experts") {
			r.Experts, err = m.ranges("experts")
		}
		if err == nil {
			r.Device, err = m.text("device")
		}
		if err != nil {
			return x, err
		}
		x.Rules = append(x.Rules, r)
	}
	return x, nil
}
