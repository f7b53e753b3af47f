package placement

import (
	"fmt"
	"slices"

	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// place puts a model where a file without replicas says.
func (f *File) place(c model.Config) (p place.Plan, why place.Reasons, err error) {
	for _, d := range f.Devices {
		p.Devices = append(p.Devices, d.Device)
	}
	p.Hosts = f.hosts()
	if p.Stages, err = f.placeStages(c); err == nil {
		err = f.checkMesh(p.Stages)
	}
	var from [][]int // index of the rule, -1 for the default
	if err == nil {
		p.Experts, from, err = f.placeExperts(c, p.Stages)
	}
	if err == nil {
		err = f.checkIdle(p)
	}
	if err == nil {
		err = p.Check(c)
	}
	if err != nil {
		return p, why, fmt.Errorf("%s: %w", f.Name, err)
	}
	return p, f.reasons(p, from), nil
}

// hosts are those that have devices of the file.
func (f *File) hosts() (list []place.Host) {
	for _, h := range f.Hosts {
		if slices.ContainsFunc(f.Devices, func(d Device) bool { return d.Host == h.Address }) {
			list = append(list, h)
		}
	}
	return list
}

func (f *File) device(name string) int {
	return slices.IndexFunc(f.Devices, func(d Device) bool { return d.Label == name })
}

func (f *File) placeStages(c model.Config) (list []place.Stage, err error) {
	layers := c.Model.NumLayers
	if len(f.Stages) == 0 {
		n := len(f.Devices)
		if f.Mesh != nil {
			if n = f.pipeline(); n > len(f.Devices) {
				return nil, at(f.Mesh.Line, "local_mesh_config: model %d, but there are %d devices: want at most as many, or no devices at all", n, len(f.Devices))
			}
		}
		if n > layers {
			return nil, fmt.Errorf("%d devices for %d layers: want at most a device for each layer, or stages that say which have layers", n, layers)
		}
		return place.Cut(layers, n, n), nil
	}
	next := 0
	for _, s := range f.Stages {
		switch {
		case s.First != next:
			return nil, at(s.Line, "stages: layers %d-%d, want them from %d on: stages have the layers in order, each once", s.First, s.Last, next)
		case s.Last >= layers:
			return nil, at(s.Line, "stages: layers %d-%d, want at most %d: the model has %d layers", s.First, s.Last, layers-1, layers)
		}
		next = s.Last + 1
		list = append(list, place.Stage{Span: stages.Span{Lo: s.First, Hi: next}, Device: f.device(s.Device)})
	}
	if next != layers {
		last := f.Stages[len(f.Stages)-1]
		return nil, at(last.Line, "stages: layers %s of the model are in no stage: add them behind this one", place.Run(next, layers-1))
	}
	return list, nil
}

// placeExperts applies the default and the rules in turn.
func (f *File) placeExperts(c model.Config, list []place.Stage) (homes, from [][]int, err error) {
	local := make([]int, c.Model.NumLayers)
	for _, s := range list {
		for l := s.Span.Lo; l < s.Span.Hi; l++ {
			local[l] = s.Device
		}
	}
	for l := range local {
		d := local[l]
		if f.Experts.Default != Local {
			d = f.device(f.Experts.Default)
		}
		homes = append(homes, slices.Repeat([]int{d}, c.Model.NumExperts))
		from = append(from, slices.Repeat([]int{-1}, c.Model.NumExperts))
	}
	for i, r := range f.Experts.Rules {
		layers, err := members(r.Layers, c.Model.NumLayers)
		if err != nil {
			return nil, nil, at(r.Line, "experts: rules: layers: %w", err)
		}
		experts, err := members(r.Experts, c.Model.NumExperts)
		if err != nil {
			return nil, nil, at(r.Line, "experts: rules: experts: %w", err)
		}
		device := f.device(r.Device)
		for _, l := range layers {
			for _, e := range experts {
				homes[l][e], from[l][e] = device, i
				if r.Device == Local {
					homes[l][e] = local[l]
				}
			}
		}
	}
	return homes, from, f.checkRules(from)
}

// members lists the numbers of ranges, ascending; no range means all below n.
func members(ranges []Range, n int) (list []int, err error) {
	if ranges == nil {
		ranges = []Range{{0, n - 1}}
	}
	in := make([]bool, n)
	for _, r := range ranges {
		if r.Last >= n {
			return nil, fmt.Errorf("%d, want at most %d: the model has %d", r.Last, n-1, n)
		}
		for i := r.First; i <= r.Last; i++ {
			if in[i] {
				return nil, fmt.Errorf("%d stands twice", i)
			}
			in[i] = true
		}
	}
	for i, is := range in {
		if is {
			list = append(list, i)
		}
	}
	return list, nil
}

// checkRules wants every rule to place an expert that no later one places again.
func (f *File) checkRules(from [][]int) error {
	used := make([]bool, len(f.Experts.Rules))
	for _, rules := range from {
		for _, i := range rules {
			if i >= 0 {
				used[i] = true
			}
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return at(f.Experts.Rules[i].Line, "experts: rules: all that this rule places is placed again by later ones: take it out, or put it behind them")
	}
	return nil
}

// checkIdle names the line of a device that has nothing to do.
func (f *File) checkIdle(p place.Plan) error {
	used := make([]bool, len(f.Devices))
	for _, s := range p.Stages {
		used[s.Device] = true
	}
	for _, homes := range p.Experts {
		for _, d := range homes {
			used[d] = true
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return at(f.Devices[i].Line, "devices: %s has neither layers nor experts: take it out, or give it some", f.Devices[i].Label)
	}
	return nil
}

func (f *File) reasons(p place.Plan, from [][]int) (why place.Reasons) {
	for i := range p.Stages {
		text := fmt.Sprintf("cut evenly, as %s has no stages", f.Name)
		if len(f.Stages) > 0 {
			text = fmt.Sprintf("%s, line %d", f.Name, f.Stages[i].Line)
		}
		why.Stages = append(why.Stages, text)
	}
	why.Experts = func(layer, expert int) string {
		switch i := from[layer][expert]; {
		case i >= 0:
			return fmt.Sprintf("%s, line %d", f.Name, f.Experts.Rules[i].Line)
		case f.Experts.Line > 0:
			return fmt.Sprintf("%s, line %d, the default", f.Name, f.Experts.Line)
		}
		return "on the device of their layer, as nothing else is said"
	}
	return why
}
