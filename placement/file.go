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
	Devices []Device // none: as many cpu devices as the mesh says
	Stages  []Stage  // none: the layers are cut evenly
	Experts Experts
	Mesh    *Mesh // nil: not in the file
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

// Mesh is local_mesh_config of the reference's runner.
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
	m, err := readMapping(body, "", "devices", "stages", "experts", "local_mesh_config", "between_hosts_config", "hosts")
	if err != nil {
		return err
	}
	if n := m.values["hosts"]; n != nil {
		return at(m.lineOf("hosts"), "hosts: several hosts are not supported yet: leave it out, all devices are of this host")
	}
	for _, part := range []struct {
		key  string
		read func(*mapping, ast.Node) error
	}{
		{"devices", f.readDevices}, {"stages", f.readStages}, {"experts", f.readExperts},
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
	return f.checkNames()
}

func (f *File) readDevices(_ *mapping, n ast.Node) error {
	list, err := readList(n, "devices", maxDevices)
	if err != nil {
		return err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "devices", "name", "kind", "threads", "threads_prefill", "memory")
		if err != nil {
			return err
		}
		d := Device{Device: place.Device{Name: "cpu"}, Line: m.line}
		d.Label, err = m.text("name")
		if err == nil && m.has("kind") {
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
		if err == nil && d.Prefill > 0 && d.Threads == 0 {
			err = at(m.lineOf("threads_prefill"), "devices: threads_prefill without threads: give both")
		}
		if err != nil {
			return err
		}
		if d.Prefill == d.Threads {
			d.Prefill = 0
		}
		if err := d.Check(); err != nil {
			return at(m.line, "devices: %w", err)
		}
		f.Devices = append(f.Devices, d)
	}
	return nil
}

func (f *File) readStages(_ *mapping, n ast.Node) error {
	list, err := readList(n, "stages", maxNumber)
	if err != nil {
		return err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "stages", "layers", "device")
		if err != nil {
			return err
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
			return err
		}
		s.First, s.Last = spans[0].First, spans[0].Last
		f.Stages = append(f.Stages, s)
	}
	return nil
}

func (f *File) readExperts(_ *mapping, n ast.Node) error {
	top, err := readMapping(n, "experts", "default", "rules")
	if err != nil {
		return err
	}
	if top.has("default") {
		f.Experts.Line = top.lineOf("default")
		if f.Experts.Default, err = top.text("default"); err != nil {
			return err
		}
	}
	if !top.has("rules") {
		return nil
	}
	list, err := readList(top.values["rules"], "experts: rules", maxNumber)
	if err != nil {
		return err
	}
	for _, entry := range list {
		m, err := readMapping(entry, "experts: rules", "layers", "experts", "device")
		if err != nil {
			return err
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
			return err
		}
		f.Experts.Rules = append(f.Experts.Rules, r)
	}
	return nil
}
