package placement

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"troupe/internal/toy"
	"troupe/model"
	"troupe/stages/place"
)

// six has 6 layers of 8 experts.
func six() model.Config {
	c := toy.Config()
	c.Model.NumLayers, c.Model.NumExperts = 6, 8
	return c
}

const example = `# two devices, the last experts of the first layers away from their layers
devices:
  - {name: first, kind: cpu, threads: 2}
  - name: "second"
    threads: 2
    threads_prefill: 4
    memory: 80GB
stages:
  - {layers: 0-3, device: first}
  - {layers: 4-5, device: second}
experts:
  default: local
  rules:
    - {layers: 0-1, experts: "6,7", device: second}
    - {layers: [1, 5], experts: [0, 6], device: local}
`

func TestPlace(t *testing.T) {
	f, err := Parse("p.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	p, why, err := f.Place(six())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.Devices, p.Stages), "[cpu:2 cpu:2/4@80000000000B] [{{0 4} 0} {{4 6} 1}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := fmt.Sprint(p.Experts), "[[0 0 0 0 0 0 1 1] [0 0 0 0 0 0 0 1] [0 0 0 0 0 0 0 0] [0 0 0 0 0 0 0 0] [1 1 1 1 1 1 1 1] [1 1 1 1 1 1 1 1]]"; got != want {
		t.Errorf("experts on %s, want %s", got, want)
	}
	if got := fmt.Sprint(append(why.Stages, why.Experts(0, 0), why.Experts(0, 6), why.Experts(1, 6))); got != "[p.yaml, line 9 p.yaml, line 10 p.yaml, line 12, the default p.yaml, line 14 p.yaml, line 15]" {
		t.Error(got)
	}
}

// TestMesh has the pairs of the reference's runner.
func TestMesh(t *testing.T) {
	for text, want := range map[string]string{
		"local_mesh_config: [1, 2]\nbetween_hosts_config: [1, 1]\n":                                                                  "[{{0 3} 0} {{3 6} 1}] 1 [cpu0 cpu1]",
		"local_mesh_config: [3, 1]\n":                                                                                                "[{{0 6} 0}] 3 [cpu0]",
		"local_mesh_config: [1, 1]\ndevices: [{name: a}, {name: b}]\nexperts: {default: b}\n":                                        "[{{0 6} 0}] 1 [a b]",
		"local_mesh_config: [2, 2]\ndevices:\n- name: a\n- name: b\nstages:\n- {layers: 0, device: b}\n- {layers: 1-5, device: a}\n": "[{{0 1} 1} {{1 6} 0}] 2 [a b]",
	} {
		f, err := Parse("p.yaml", []byte(text))
		if err != nil {
			t.Error(err)
			continue
		}
		p, _, err := f.Place(six())
		var names []string
		for _, d := range p.Devices {
			names = append(names, d.Label)
		}
		if got := fmt.Sprint(p.Stages, f.Sequences(), names); err != nil || got != want || len(f.Notes()) == 0 {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	const two = "devices:\n- {name: a}\n- {name: b}\n"
	for _, test := range []struct{ text, want string }{
		{"", "p.yaml: nothing in it"},
		{"# a\n---\n", "nothing in it"},
		{"hosts: [a]\n", "line 1: hosts: want a mapping of name, address"},
		{"device: a\n", `line 1: unknown key "device", want one of devices, stages`},
		{"a\n", "line 1: want a mapping of devices"},
		{"devices: 3\n", "line 1: devices: want a list"},
		{"devices: []\n", "line 1: devices: want a list"},
		{"devices:\n- a\n", "line 2: devices: want a mapping of name, kind"},
		{"stages:\n- {layers: 0, device: a}\n", "p.yaml: no devices"},
		{"devices:\n- {name: a, thread: 2}\n", `line 2: devices: unknown key "thread", want one of name, kind, threads, threads_prefill, memory, bandwidth, flops: did you mean threads?`},
		{"devices:\n- {name: a, threads: 0}\n", `line 2: devices: threads "0", want 1 to 4096`},
		{"devices:\n- {name: a, threads: many}\n", `threads "many", want 1 to 4096`},
		{"devices:\n- {name: a, threads: [2]}\n", "threads: want a single value"},
		{"devices:\n- {name: a, threads_prefill: 3}\n", "line 2: devices: threads_prefill without threads"},
		{"devices:\n- {name: a, memory: lots}\n", `line 2: devices: memory: size "lots"`},
		{"devices:\n- {name: a, kind: GPU}\n", `line 2: devices: kind "GPU", want a small letter`},
		{"devices:\n- {name: 7}\n", `line 2: devices: name "7", want a letter`},
		{"devices:\n- {kind: cpu}\n", "line 2: devices: name is missing"},
		{"devices:\n- {name: a}\n- {name: a}\n", `line 3: devices: name "a" stands twice, first in line 2`},
		{"devices:\n- {name: local}\n", `line 2: devices: name "local" is kept`},
		{two + two, "line 4: mapping key"},
		{two + "stages:\n- {layers: 0-2, device: a}\n- {layers: 2-5, device: b}\n", "line 6: stages: layers 2-5, want them from 3 on"},
		{two + "stages:\n- {layers: 1-2, device: a}\n", "line 5: stages: layers 1-2, want them from 0 on"},
		{two + "stages:\n- {layers: 0-2, device: a}\n- {layers: 3-6, device: b}\n", "line 6: stages: layers 3-6, want at most 5"},
		{two + "stages:\n- {layers: 0-2, device: a}\n- {layers: 3-4, device: b}\n", "line 6: stages: layers 5 of the model are in no stage"},
		{two + "stages:\n- {layers: 5-0, device: a}\n", `line 5: stages: layers: "5-0", want a number or an ascending range`},
		{two + "stages:\n- {layers: [0, 1], device: a}\n", "line 5: stages: layers: 2 ranges, want one"},
		{two + "stages:\n- {layers: 0-5, device: c}\n", `line 5: stages: device "c" is not in devices, want one of a, b`},
		{two + "stages:\n- {layers: 0-5, device: local}\n", `device "local" is not in devices`},
		{two + "stages:\n- {layers: 0-5}\n", "line 5: stages: device is missing"},
		{two + "stages:\n- {device: a}\n", "line 5: stages: layers is missing"},
		{two + "stages:\n- {layers: 0-5, device: a}\n", "line 3: devices: b has neither layers nor experts"},
		{two + "experts:\n  default: c\n", `line 5: experts: default: device "c" is not in devices, want one of local, a, b`},
		{two + "experts:\n  rules:\n  - {layers: 0-9, device: b}\n", "line 6: experts: rules: layers: 9, want at most 5"},
		{two + "experts:\n  rules:\n  - {experts: 8, device: b}\n", "line 6: experts: rules: experts: 8, want at most 7"},
		{two + "experts:\n  rules:\n  - {experts: [1, 0-2], device: b}\n", "line 6: experts: rules: experts: 1 stands twice"},
		{two + "experts:\n  rules:\n  - {layers: 0, device: b}\n  - {layers: 0-1, device: b}\n", "line 6: experts: rules: all that this rule places is placed again"},
		{two + "local_mesh_config: [1, 3]\n", "line 4: local_mesh_config: model 3, but there are 2 devices"},
		{two + "local_mesh_config: [1, 1]\nstages:\n- {layers: 0-2, device: a}\n- {layers: 3-5, device: b}\n", "line 4: local_mesh_config: model 1, but 2 devices have layers: want [1, 2]"},
		{"local_mesh_config: [1, 7]\n", "7 devices for 6 layers"},
		{"local_mesh_config: [1, 99999]\n", `line 1: local_mesh_config: size "99999", want 1 to 1024`},
		{"local_mesh_config: 8\n", "line 1: local_mesh_config: want [data, model]"},
		{two + "between_hosts_config: [1, 2]\n", "line 4: between_hosts_config: [1, 2] is for 2 hosts, and there is 1: want two numbers"},
		{"a: &b c\n", "line 1: '&': a placement file has names"},
		{"a: [[[[\n", "line 1: 4 brackets in one another"},
		{"a: [\n", `line 1: ']' is missing at the end`},
		{"a: [}\n", `line 1: '}' closes nothing`},
		{"a: 'x\n", "line 1: ' is not closed"},
		{"- - - a\n", `line 1: "- " within a line`},
		{"a: b: c\n", "line 1: 2 colons"},
		{two + "---\n" + two, "a second document"},
		{strings.Repeat("#\n", maxBytes), "p.yaml: longer than 65536 bytes"},
		{"#" + strings.Repeat("a", maxLine), "line 1: longer than 1024 bytes"},
	} {
		f, err := Parse("p.yaml", []byte(test.text))
		if err == nil {
			_, _, err = f.Place(six())
		}
		if err == nil || !strings.HasPrefix(err.Error(), "p.yaml: ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.200q: %v, want … %s …", test.text, err, test.want)
		}
	}
}

// TestWrite reads what was written: the plan is the same, and what is written of it too.
func TestWrite(t *testing.T) {
	c := six()
	for _, test := range []struct {
		list, experts string
		o             place.Options
	}{
		{"cpu", "", place.Options{}},
		{"cpu:1,cpu:2/3@17GiB,gpu@1", "", place.Options{}},
		{"null,true", "", place.Options{Strategy: "spread"}},
		{"cpu,cpu", "3xcpu:2", place.Options{}},
		{"cpu", "", place.Options{Stages: 4}},
		{"cpu@1MB,cpu@2MB", "", place.Options{Strategy: "auto"}},
	} {
		devices, err := place.ParseDevices(test.list)
		if err == nil && test.experts != "" {
			test.o.ExpertDevices, err = place.ParseDevices(test.experts)
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := place.Make(c, devices, test.o)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := Write(p, "a\nb")
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse("p.yaml", raw)
		if err != nil {
			t.Errorf("%+v: %v\n%s", test, err, raw)
			continue
		}
		q, _, err := f.Place(c)
		if err != nil || !reflect.DeepEqual(q, Label(p)) {
			t.Errorf("%+v: %v: %+v, want %+v\n%s", test, err, q, Label(p), raw)
		}
		if again, err := Write(q, "a b"); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%+v: %v: written again: %s\nwant %s", test, err, again, raw)
		}
	}
}

// TestWriteRefusesWhatIsTooLong has a placement with a rule for every expert.
func TestWriteRefusesWhatIsTooLong(t *testing.T) {
	c := six()
	c.Model.NumLayers, c.Model.NumExperts = 64, 64
	devices, err := place.ParseDevices("1000xcpu")
	if err != nil {
		t.Fatal(err)
	}
	p, err := place.Make(c, devices[:1], place.Options{ExpertDevices: devices[1:]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(p); err == nil || !strings.Contains(err.Error(), "placement: the file would have") {
		t.Errorf("%v, want that it is too long", err)
	}
}

// FuzzParse has files that are anything: what is accepted is a plan, and can be written and read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{example, hostsExample, "devices: [{name: a}, {name: b}]\nreplicas: 2\n", "devices: [{name: a}, {name: b}]\nreplicas:\n- stages: [{layers: 0-5, device: a}]\n- stages: [{layers: 0-5, device: b}]\n", "hosts:\n- {name: a, address: a:1, devices: 2}\nbetween_hosts_config: [1, 1]\n", "local_mesh_config: [2, 3]\nbetween_hosts_config: [1, 1]\n", "devices: [{name: a}]\n", "devices:\n- name: a\n- name: b\nexperts:\n  rules:\n  - {experts: 0-3, device: b}\n",
		"? a\n: b\n", "a: |\n", "<<: *a", "devices: [{name: 'a'}, {name: \"b\", memory: 1.5TiB}]", "devices:\n- {name: ~}", "\ufeffa: []", "stages: {}", "{}"} {
		f.Add([]byte(seed))
	}
	c := six()
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := Parse("p.yaml", raw)
		var plans []place.Plan
		if err == nil {
			plans, _, err = file.Replicas(c)
		}
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "p.yaml: ") {
				t.Errorf("%q", err)
			}
			return
		}
		written, err := WriteReplicas(plans)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("p.yaml", written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		back, _, err := again.Replicas(c)
		if err == nil && len(plans) == 1 && !reflect.DeepEqual(plans, back) {
			t.Errorf("%+v, want %+v", back, plans)
		}
		if twice, err2 := WriteReplicas(back); err != nil || err2 != nil || !bytes.Equal(twice, written) {
			t.Errorf("%v, %v: %s\nwant %s", err, err2, twice, written)
		}
	})
}
