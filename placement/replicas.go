package placement

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"troupe/model"
	"troupe/stages/place"
)

// replica is an entry of replicas: a pipeline of its own, with devices of its own.
type replica struct {
	stages  []Stage
	experts Experts
	line    int
	devices []Device
}

// readReplicas reads how many there are, or a list with the stages and experts of each.
func (f *File) readReplicas(m *mapping, n ast.Node) error {
	f.dealLine = m.lineOf("replicas")
	if _, ok := n.(*ast.SequenceNode); !ok {
		top := &mapping{where: "replicas", line: f.dealLine, values: map[string]ast.Node{"count": n}}
		if _, ok := scalar(n); !ok {
			return at(f.dealLine, "replicas: want a number, or a list with the stages of each")
		}
		var err error
		f.deal, err = top.number("count", 1, maxDevices)
		return err
	}
	for _, key := range []string{"stages", "experts"} {
		if m.has(key) {
			return at(m.lineOf(key), "%s: replicas has a list, so it belongs into its entries", key)
		}
	}
	list, err := readList(n, "replicas", maxDevices)
	if err != nil {
		return err
	}
	for _, entry := range list {
		r := replica{experts: Experts{Default: Local}}
		m, err := readMapping(entry, "replicas", "stages", "experts")
		if err != nil {
			return err
		}
		r.line = m.line
		if !m.has("stages") {
			return at(m.line, "replicas: stages is missing")
		}
		if r.stages, err = readStages(m.values["stages"]); err != nil {
			return err
		}
		if m.has("experts") {
			if r.experts, err = readExperts(m.values["experts"]); err != nil {
				return err
			}
		}
		f.replicas = append(f.replicas, r)
	}
	return nil
}

// divide gives every replica its devices: those that it names, or where there is a number alone an equal run of all.
func (f *File) divide(m *mapping) error {
	if len(f.replicas) > 0 {
		return f.divideNamed()
	}
	if f.deal < 2 {
		return nil
	}
	for _, key := range []string{"stages", "experts"} {
		if m.has(key) {
			return at(m.lineOf(key), "%s: with %d replicas it says not of which: give replicas a list, each with its stages", key, f.deal)
		}
	}
	if len(f.Devices)%f.deal != 0 {
		return at(f.dealLine, "replicas: %d devices cannot be dealt equally over %d replicas: want a multiple, or a list that names the devices of each", len(f.Devices), f.deal)
	}
	for devices := range slices.Chunk(f.Devices, len(f.Devices)/f.deal) {
		f.replicas = append(f.replicas, replica{experts: Experts{Default: Local}, line: f.dealLine, devices: devices})
	}
	return nil
}

func (f *File) divideNamed() error {
	owner := map[string]int{}
	for i := range f.replicas {
		r := &f.replicas[i]
		take := func(name string, line int) error {
			if name == Local {
				return nil
			}
			if other, taken := owner[name]; taken && other != i {
				return at(line, "replicas: device %s is of replica %d already: each has devices of its own", name, other)
			}
			owner[name] = i
			return nil
		}
		err := take(r.experts.Default, r.experts.Line)
		for _, s := range r.stages {
			if err == nil {
				err = take(s.Device, s.Line)
			}
		}
		for _, rule := range r.experts.Rules {
			if err == nil {
				err = take(rule.Device, rule.Line)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, d := range f.Devices {
		i, ok := owner[d.Label]
		if !ok {
			return at(d.Line, "devices: %s is of no replica: take it out, or give it layers or experts", d.Label)
		}
		f.replicas[i].devices = append(f.replicas[i].devices, d)
	}
	return nil
}

// Count is the number of replicas, at least 1.
func (f *File) Count() int { return max(1, len(f.replicas)) }

// Replicas puts a model where the file says, once for each replica: each is a whole pipeline with devices of its own.
// Its errors are as those of Parse.
func (f *File) Replicas(c model.Config) (plans []place.Plan, why []place.Reasons, err error) {
	if len(f.replicas) == 0 {
		p, w, err := f.place(c)
		return []place.Plan{p}, []place.Reasons{w}, err
	}
	for i, r := range f.replicas {
		one := &File{Name: f.Name, Devices: r.devices, Hosts: f.Hosts, Stages: r.stages, Experts: r.experts, Mesh: f.Mesh, Between: f.Between}
		p, w, err := one.place(c)
		if err != nil && len(r.stages) == 0 {
			err = fmt.Errorf("%w (replica %d)", err, i)
		}
		if err != nil {
			return nil, nil, err
		}
		plans, why = append(plans, p), append(why, w)
	}
	return plans, why, nil
}

// Place puts a model where the file says, and tells why each part is where it is: by the line of the file. A file with
// several replicas is an error. Its errors are as those of Parse.
func (f *File) Place(c model.Config) (place.Plan, place.Reasons, error) {
	if f.Count() > 1 {
		return place.Plan{}, place.Reasons{}, fmt.Errorf("%s: %w", f.Name, at(f.dealLine, "replicas: %d, and one is wanted here", f.Count()))
	}
	plans, why, err := f.Replicas(c)
	if err != nil {
		return place.Plan{}, place.Reasons{}, err
	}
	return plans[0], why[0], nil
}
