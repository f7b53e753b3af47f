package place

import (
	"fmt"

	"troupe/model"
	"troupe/stages"
)

// Plan says where everything lives.
type Plan struct {
	Devices []Device
	Stages  []Stage  // in order of layers
	Experts [][]int  // [layer][expert] index of a device
	Hosts   []Host   // what is known of hosts with devices; nil: nothing
	Spare   []Device // that were offered, and that a strategy has left out: they would make the plan slower
}

// Stage is a span of layers on a device.
type Stage struct {
	Span   stages.Span
	Device int // index of a device
}

// Check reports what makes a plan impossible for a model: layers that are missing, twice or out of order,
// homes that are no devices, devices without anything to do.
func (p Plan) Check(c model.Config) error {
	used := make([]bool, len(p.Devices))
	home := func(device int) error {
		if device < 0 || device >= len(p.Devices) {
			return fmt.Errorf("on device %d, want 0 to %d", device, len(p.Devices)-1)
		}
		used[device] = true
		return nil
	}
	next := 0
	for i, s := range p.Stages {
		if s.Span.Lo != next || s.Span.Hi <= s.Span.Lo || s.Span.Hi > c.Model.NumLayers {
			return fmt.Errorf("place: stage %d has layers %d to %d, want at least one, from %d on, of %d: stages take the layers in order, each once",
				i, s.Span.Lo, s.Span.Hi-1, next, c.Model.NumLayers)
		}
		next = s.Span.Hi
		if err := home(s.Device); err != nil {
			return fmt.Errorf("place: stage %d: %w", i, err)
		}
	}
	if next != c.Model.NumLayers {
		return fmt.Errorf("place: stages have layers 0 to %d, want %d layers: add the others to a stage", next-1, c.Model.NumLayers)
	}
	if len(p.Experts) != c.Model.NumLayers {
		return fmt.Errorf("place: homes for experts of %d layers, want %d", len(p.Experts), c.Model.NumLayers)
	}
	for l, homes := range p.Experts {
		if len(homes) != c.Model.NumExperts {
			return fmt.Errorf("place: layer %d: homes for %d experts, want %d", l, len(homes), c.Model.NumExperts)
		}
		for e, device := range homes {
			if err := home(device); err != nil {
				return fmt.Errorf("place: layer %d: expert %d: %w", l, e, err)
			}
		}
	}
	for i, u := range used {
		if !u {
			return fmt.Errorf("place: device %d (%s) has neither layers nor experts: leave it out, or choose another number of stages or strategy", i, p.Devices[i])
		}
	}
	return nil
}
