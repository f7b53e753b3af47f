package place

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"troupe/internal/toy"
	"troupe/model"
)

// sized is a model of so many layers and experts.
func sized(layers, experts int) model.Config {
	c := toy.Config()
	c.Model.NumLayers, c.Model.NumExperts = layers, experts
	return c
}

func cpus(n int) []Device { return slices.Repeat([]Device{{Name: "cpu", Threads: 1}}, n) }

func TestMakeStages(t *testing.T) {
	for _, test := range []struct {
		layers, devices, stages int
		want                    string // layers@device
	}{
		{6, 1, 0, "0-5@0"},
		{6, 2, 0, "0-2@0 3-5@1"},
		{7, 3, 0, "0-2@0 3-4@1 5-6@2"},
		{3, 3, 3, "0-0@0 1-1@1 2-2@2"},
		{6, 1, 4, "0-1@0 2-3@0 4-4@0 5-5@0"},
		{6, 2, 4, "0-1@0 2-3@0 4-4@1 5-5@1"},
		{7, 2, 3, "0-2@0 3-4@0 5-6@1"},
		{64, 8, 0, "0-7@0 8-15@1 16-23@2 24-31@3 32-39@4 40-47@5 48-55@6 56-63@7"},
	} {
		c := sized(test.layers, 5)
		p, err := Make(c, cpus(test.devices), Options{Stages: test.stages})
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		var got []string
		for _, s := range p.Stages {
			got = append(got, fmt.Sprintf("%d-%d@%d", s.Span.Lo, s.Span.Hi-1, s.Device))
			for l := s.Span.Lo; l < s.Span.Hi; l++ {
				if !slices.Equal(p.Experts[l], slices.Repeat([]int{s.Device}, 5)) {
					t.Errorf("%+v: experts of layer %d on %v, want all on %d", test, l, p.Experts[l], s.Device)
				}
			}
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%d layers, %d devices, %d stages: %s, want %s", test.layers, test.devices, test.stages, s, test.want)
		}
	}
}

func TestMakeSpread(t *testing.T) {
	for _, test := range []struct {
		name     string
		devices  int
		o        Options
		want     string // experts' homes of 3 layers of 5
		homeless []int  // devices without experts
	}{
		{"over all", 2, Options{Strategy: "spread"}, "[[0 1 0 1 0] [1 0 1 0 1] [0 1 0 1 0]]", nil},
		{"a device without stages", 3, Options{Strategy: "spread", Stages: 1}, "[[0 1 2 0 1] [2 0 1 2 0] [1 2 0 1 2]]", nil},
		{"devices for experts alone", 1, Options{ExpertDevices: cpus(2)}, "[[1 2 1 2 1] [2 1 2 1 2] [1 2 1 2 1]]", []int{0}},
		{"and two stages", 2, Options{ExpertDevices: cpus(1), Strategy: "spread"}, "[[2 2 2 2 2] [2 2 2 2 2] [2 2 2 2 2]]", []int{0, 1}},
	} {
		c := sized(3, 5)
		p, err := Make(c, cpus(test.devices), test.o)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := fmt.Sprint(p.Experts); got != test.want {
			t.Errorf("%s: experts on %s, want %s", test.name, got, test.want)
		}
		count := make([]int, len(p.Devices))
		for _, homes := range p.Experts {
			for _, d := range homes {
				count[d]++
			}
		}
		least, most := 1<<30, 0
		for i, n := range count {
			if slices.Contains(test.homeless, i) != (n == 0) {
				t.Errorf("%s: device %d has %d experts", test.name, i, n)
			}
			if n > 0 {
				least, most = min(least, n), max(most, n)
			}
		}
		if most-least > 1 {
			t.Errorf("%s: experts by device %v, want as even as possible", test.name, count)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		devices []Device
		o       Options
		want    string
	}{
		{"no devices", nil, Options{}, "place: no devices"},
		{"more devices than layers", cpus(4), Options{}, "4 devices for 3 layers: want at most a device for each layer"},
		{"more stages than layers", cpus(1), Options{Stages: 4}, "4 stages for 3 layers"},
		{"negative", cpus(1), Options{Stages: -1}, "-1 stages, want at least 1"},
		{"a device with nothing to do", cpus(3), Options{Stages: 2}, "device 2 (cpu:1) has neither layers nor experts"},
		{"experts' devices with nothing to do", cpus(1), Options{ExpertDevices: cpus(1), Strategy: "local"}, "device 1 (cpu:1) has neither"},
		{"unknown strategy", cpus(1), Options{Strategy: "clever"}, `strategy "clever", want one of auto, local, spread`},
	} {
		if p, err := Make(sized(3, 5), test.devices, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v, want … %s …", test.name, p, err, test.want)
		}
	}
}

func TestPlanCheck(t *testing.T) {
	c := sized(4, 3)
	for _, test := range []struct {
		name   string
		change func(*Plan)
		want   string
	}{
		{"as made", func(*Plan) {}, ""},
		{"gap", func(p *Plan) { p.Stages[1].Span.Lo = 3 }, "stage 1 has layers 3 to 3, want at least one, from 2 on, of 4"},
		{"overlap", func(p *Plan) { p.Stages[1].Span.Lo = 1 }, "stage 1 has layers 1 to 3, want at least one, from 2 on"},
		{"empty stage", func(p *Plan) { p.Stages[0].Span.Hi = 0 }, "stage 0 has layers 0 to -1"},
		{"too many layers", func(p *Plan) { p.Stages[1].Span.Hi = 5 }, "stage 1 has layers 2 to 4"},
		{"too few layers", func(p *Plan) { p.Stages[1].Span.Hi = 3 }, "stages have layers 0 to 2, want 4 layers"},
		{"no stages", func(p *Plan) { p.Stages = nil }, "want 4 layers"},
		{"no such device", func(p *Plan) { p.Stages[1].Device = 2 }, "stage 1: on device 2, want 0 to 1"},
		{"negative device", func(p *Plan) { p.Stages[1].Device = -1 }, "stage 1: on device -1"},
		{"layers without homes", func(p *Plan) { p.Experts = p.Experts[:3] }, "homes for experts of 3 layers, want 4"},
		{"experts without homes", func(p *Plan) { p.Experts[2] = nil }, "layer 2: homes for 0 experts, want 3"},
		{"expert nowhere", func(p *Plan) { p.Experts[1][2] = 7 }, "layer 1: expert 2: on device 7, want 0 to 1"},
		{"idle device", func(p *Plan) { p.Devices = append(p.Devices, Device{Name: "gpu"}) }, "device 2 (gpu) has neither layers nor experts"},
	} {
		p, err := Make(c, cpus(2), Options{})
		if err != nil {
			t.Fatal(err)
		}
		test.change(&p)
		err = p.Check(c)
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "place: ")) {
			t.Errorf("%s: %v, want … %s …", test.name, err, test.want)
		}
	}
}

func TestStrategies(t *testing.T) {
	var names []string
	for _, s := range Strategies() {
		names = append(names, s.Name)
		if s.Doc == "" {
			t.Errorf("strategy %s: no doc", s.Name)
		}
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "local") || !slices.Contains(names, "spread") {
		t.Errorf("strategies %v, want local, spread, sorted", names)
	}
	defer func() {
		if p, ok := recover().(string); !ok || !strings.HasPrefix(p, "BUG: place: ") {
			t.Errorf("registering local again: panics with %q, want BUG: place: …", p)
		}
	}()
	register(Strategy{Name: "local"})
}
