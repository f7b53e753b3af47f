package place

import (
	"fmt"
	"slices"

	"troupe/model"
	"troupe/stages"
)

// Options are a person's wishes for a plan.
type Options struct {
	Stages        int      // 0: one on each device
	ExpertDevices []Device // devices for experts alone, besides those of the stages
	Strategy      string   // where experts live; "": local, or spread when there are devices for experts alone
	// Load is what a strategy that looks at memory counts with; the zero Quantities are the weights alone.
	Load Quantities
	// Hosts is what is known of hosts, and Traffic what runs: a strategy that looks at speed counts with them. Without
	// streams it takes as many as devices.
	Hosts   []Host
	Traffic Traffic
}

// Make puts a model on devices. Where the strategy has no other wish, the layers are cut as evenly as possible, the
// first stages take what is left over, and runs of stages share a device when there are more stages than devices.
func Make(c model.Config, devices []Device, o Options) (Plan, error) {
	if len(devices) == 0 {
		return Plan{}, fmt.Errorf("place: no devices: want at least one for the layers")
	}
	n, layers := o.Stages, c.Model.NumLayers
	if n == 0 {
		n = len(devices)
	}
	switch {
	case n < 0:
		return Plan{}, fmt.Errorf("place: %d stages, want at least 1", n)
	case n > layers && o.Stages == 0:
		return Plan{}, fmt.Errorf("place: %d devices for %d layers: want at most a device for each layer: use fewer devices, or say how many stages there are", n, layers)
	case n > layers:
		return Plan{}, fmt.Errorf("place: %d stages for %d layers: want at most a stage for each layer", n, layers)
	}
	strategy, err := findStrategy(o.strategy())
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Devices: slices.Concat(devices, o.ExpertDevices), Stages: Cut(layers, n, len(devices))}
	if strategy.Cut != nil {
		if p.Stages, err = strategy.Cut(c, devices, o); err != nil {
			return Plan{}, err
		}
		p.leaveOut(len(devices))
	}
	p.Know(o.Hosts)
	p.Experts = strategy.Place(c, p, expertHosts(p, o))
	return p, p.Check(c)
}

// leaveOut makes spares of those among the first n devices, which are for layers, that have none.
func (p *Plan) leaveOut(n int) {
	var kept []Device
	index := make([]int, n)
	for i, d := range p.Devices {
		if i < n && !slices.ContainsFunc(p.Stages, func(s Stage) bool { return s.Device == i }) {
			p.Spare = append(p.Spare, d)
			continue
		}
		if i < n {
			index[i] = len(kept)
		}
		kept = append(kept, d)
	}
	p.Devices = kept
	for i, s := range p.Stages {
		p.Stages[i].Device = index[s.Device]
	}
}

// Know notes what is known of those among hosts that have devices of the plan.
func (p *Plan) Know(hosts []Host) {
	p.Hosts = nil
	for _, h := range hosts {
		if slices.ContainsFunc(p.Devices, func(d Device) bool { return d.Host == h.Address }) {
			p.Hosts = append(p.Hosts, h)
		}
	}
}

// Cut cuts layers into n stages on that many devices, as evenly as possible.
func Cut(layers, n, devices int) []Stage {
	list := make([]Stage, n)
	lo := 0
	for i := range list {
		hi := lo + layers/n
		if i < layers%n {
			hi++
		}
		device := i // with fewer stages than devices the last devices have none
		if n > devices {
			device = i * devices / n
		}
		list[i] = Stage{Span: stages.Span{Lo: lo, Hi: hi}, Device: device}
		lo = hi
	}
	return list
}

// expertHosts are the devices that a strategy may spread experts over: those for experts alone, else all.
func expertHosts(p Plan, o Options) []int {
	var hosts []int
	first := 0
	if len(o.ExpertDevices) > 0 {
		first = len(p.Devices) - len(o.ExpertDevices)
	}
	for i := first; i < len(p.Devices); i++ {
		hosts = append(hosts, i)
	}
	return hosts
}
