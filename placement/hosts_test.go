package placement

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"troupe/stages/place"
)

const hostsExample = `# this host and two workers
devices:
  - {name: here, threads: 2, bandwidth: 20GB, flops: 400G}
hosts:
  - name: a
    address: a.example:7000
    link: {latency: 0.2ms, bandwidth: 10Gbit}
    devices: 2
  - {name: here, bandwidth: 25GB}
  - name: b
    address: "[::1]:7000"
    bandwidth: 300GB
    flops: 2T
    devices:
      - {kind: cpu, threads: 8, memory: 64GB}
      - {name: big, number: 3, kind: gpu, memory: 80GB, bandwidth: 2TB}
stages:
  - {layers: 0, device: here}
  - {layers: 1-3, device: a/1}
  - {layers: 4-5, device: big}
experts:
  rules:
    - {layers: 1, experts: 0, device: a/0}
    - {layers: 1, experts: 1, device: b/0}
`

func TestHosts(t *testing.T) {
	f, err := Parse("p.yaml", []byte(hostsExample))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := f.Place(six())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range p.Devices {
		names = append(names, fmt.Sprintf("%s=%s#%d", d.Label, d, d.Number))
	}
	if got, want := strings.Join(names, " "), "here=cpu:2#0 a/0=a.example:7000=cpu#0 a/1=a.example:7000=cpu#1 b/0=[::1]:7000=cpu:8@64000000000B#0 big=[::1]:7000=gpu@80000000000B#3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if d := p.Devices[4]; d.Bandwidth != 2e12 || p.Devices[0].Flops != 4e11 {
		t.Errorf("%+v, %+v", p.Devices[0], d)
	}
	want := []place.Host{
		{Address: "a.example:7000", Name: "a", Link: place.Link{Latency: .2 * 1e-3, Bandwidth: 1.25e9}},
		{Name: "here", Bandwidth: 25e9},
		{Address: "[::1]:7000", Name: "b", Bandwidth: 3e11, Flops: 2e12},
	}
	if !reflect.DeepEqual(p.Hosts, want) {
		t.Errorf("%+v, want %+v", p.Hosts, want)
	}
	raw, err := Write(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("q.yaml", raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if q, _, err := again.Place(six()); err != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("%v: %+v, want %+v\n%s", err, q, p, raw)
	}
}

// TestWriteHosts has plans made of flags: without names, hosts said twice, a device of a worker left out.
func TestWriteHosts(t *testing.T) {
	devices, err := place.ParseDevices("a:7000=2xcpu:8@64GB,cpu:2,b:1=gpu")
	if err != nil {
		t.Fatal(err)
	}
	hosts := []place.Host{{Address: "b:1", Link: place.Link{Latency: 1e-3}}}
	p, err := place.Make(six(), devices[1:], place.Options{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Write(p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("p.yaml", raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	q, _, err := f.Place(six())
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	for i, s := range q.Stages { // the order of devices may be another one, as those of this process come first
		d, want := q.Devices[s.Device], p.Devices[p.Stages[i].Device]
		if d.Label = ""; d != want || s.Span != p.Stages[i].Span {
			t.Errorf("stage %d on %+v, want %+v\n%s", i, d, want, raw)
		}
	}
	if len(q.Hosts) != 2 || q.Hosts[0].Link != hosts[0].Link || q.Hosts[1].Address != "a:7000" {
		t.Errorf("%+v\n%s", q.Hosts, raw)
	}
}

func TestReplicas(t *testing.T) {
	for text, want := range map[string]string{
		"devices: [{name: a}, {name: b}]\nreplicas: 2\n":                                                                                                                                                   "[a] [{{0 6} 0}]; [b] [{{0 6} 0}]",
		"devices: [{name: a}, {name: b}, {name: c}, {name: d}]\nreplicas: 2\nlocal_mesh_config: [1, 2]\n":                                                                                                  "[a b] [{{0 3} 0} {{3 6} 1}]; [c d] [{{0 3} 0} {{3 6} 1}]",
		"hosts:\n- {name: a, address: a:1, devices: 2}\n- {name: b, address: b:1, devices: 2}\nbetween_hosts_config: [2, 1]\nlocal_mesh_config: [1, 2]\n":                                                  "[a/0 a/1] [{{0 3} 0} {{3 6} 1}]; [b/0 b/1] [{{0 3} 0} {{3 6} 1}]",
		"hosts:\n- {name: a, address: a:1, devices: 1}\n- {name: b, address: b:1, devices: 1}\nbetween_hosts_config: [1, 2]\nlocal_mesh_config: [1, 1]\n":                                                  "[a/0 b/0] [{{0 3} 0} {{3 6} 1}]",
		"devices: [{name: a}, {name: b}, {name: c}]\nreplicas:\n- stages:\n  - {layers: 0-5, device: c}\n- stages:\n  - {layers: 0-1, device: a}\n  - {layers: 2-5, device: b}\n  experts: {default: b}\n": "[c] [{{0 6} 0}]; [a b] [{{0 2} 0} {{2 6} 1}]",
	} {
		f, err := Parse("p.yaml", []byte(text))
		if err != nil {
			t.Error(err)
			continue
		}
		plans, why, err := f.Replicas(six())
		if err != nil || len(why) != len(plans) || f.Count() != len(plans) {
			t.Errorf("%q: %v, %d reasons, %d counted", text, err, len(why), f.Count())
			continue
		}
		var got []string
		for _, p := range plans {
			var names []string
			for _, d := range p.Devices {
				names = append(names, d.Label)
			}
			got = append(got, fmt.Sprint(names, p.Stages))
		}
		if text2 := strings.ReplaceAll(strings.Join(got, "; "), "][", "] ["); text2 != want {
			t.Errorf("%q: %s, want %s", text, text2, want)
		}
		raw, err := WriteReplicas(plans, "x")
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("q.yaml", raw)
		if err != nil {
			t.Errorf("%v\n%s", err, raw)
			continue
		}
		back, _, err := again.Replicas(six())
		if err != nil {
			t.Errorf("%v\n%s", err, raw)
			continue
		}
		if raw2, err := WriteReplicas(back, "x"); err != nil || !bytes.Equal(raw, raw2) {
			t.Errorf("%v: %s\nwant %s", err, raw2, raw)
		}
	}
}

func TestHostsRefuse(t *testing.T) {
	const host = "hosts:\n- name: a\n  address: a:7000\n"
	const two = "devices:\n- {name: x}\n- {name: y}\n"
	for _, test := range []struct{ text, want string }{
		{host, "line 2: hosts: devices is missing"},
		{host + "  devices: 0\n", `line 4: hosts: devices "0", want 1 to 1024`},
		{host + "  devices: {a: 1}\n", "line 4: hosts: devices: want a number, or a list"},
		{host + "  devices: []\n", "hosts: devices: want a list"},
		{host + "  devices:\n  - {kind: GPU}\n", `line 5: hosts: devices: kind "GPU"`},
		{host + "  devices:\n  - {number: 1}\n  - {kind: cpu}\n", "line 6: hosts: devices: number 1 of the worker stands twice, first in line 5"},
		{host + "  devices: 1\n  link: {latency: 5}\n", `line 5: hosts: link: latency: latency "5", want a time`},
		{host + "  devices: 1\n  link: {latency: 1ms, bandwidth: fast}\n", `line 5: hosts: link: bandwidth: rate "fast"`},
		{host + "  devices: 1\n  link: {speed: 1}\n", `line 5: hosts: link: unknown key "speed", want one of latency, bandwidth`},
		{host + "  devices: 1\n  bandwidth: x\n", `line 5: hosts: bandwidth: rate "x"`},
		{host + "  devices: 1\n- {name: a, address: b:1, devices: 1}\n", `line 5: hosts: name "a" stands twice, first in line 2`},
		{host + "  devices: 1\n- {name: b, address: a:7000, devices: 1}\n", "line 5: hosts: address a:7000 stands twice, first in line 2"},
		{"hosts:\n- {name: a, devices: 1}\n", "line 2: hosts: a has no address, so it is this host"},
		{"hosts:\n- {name: a}\n", "line 2: hosts: a has no address, so it is this host, and nothing is said of it"},
		{"hosts:\n- {name: a, address: a, devices: 1}\n", `line 2: hosts: address "a", want HOST:PORT`},
		{"hosts:\n- {name: 7, address: a:1, devices: 1}\n", `line 2: hosts: name "7", want a letter`},
		{"hosts:\n- {address: a:1, devices: 1}\n", "line 2: hosts: name is missing"},
		{"hosts:\n- {name: a, bandwidth: 1GB}\n", "p.yaml: no devices"},
		{two + host + "  devices: 2000\n", "want 1 to 1024"},
		{two + host + "  devices: 1023\n", "line 7: hosts: more than 1024 devices in all"},
		{two + host + "  devices: [{name: x}]\n", `devices: name "x" stands twice, first in line 2`},
		{host + "  devices: 2\nstages:\n- {layers: 0-5, device: a/2}\n", `line 6: stages: device "a/2" is not in devices, want one of a/0, a/1`},
		{host + "  devices: 2\nstages:\n- {layers: 0-5, device: a/1}\n", "line 4: devices: a/0 has neither layers nor experts"},
		{host + "  devices: 1\nbetween_hosts_config: [1, 2]\n", "line 5: between_hosts_config: [1, 2] is for 2 hosts, and there is 1"},
		{two + host + "  devices: 1\nbetween_hosts_config: [1, 1]\n", "line 8: between_hosts_config: [1, 1] is for 1 hosts, and there are 2"},
		{two + host + "  devices: 1\nbetween_hosts_config: [2, 1]\n", "line 8: replicas: 3 devices cannot be dealt equally over 2 replicas"},
		{two + "replicas: 3\n", "line 4: replicas: 2 devices cannot be dealt equally over 3"},
		{two + "replicas: 0\n", `line 4: replicas: count "0", want 1 to 1024`},
		{two + "replicas: {a: b}\n", "line 4: replicas: want a number, or a list"},
		{two + "replicas: 2\nstages:\n- {layers: 0-5, device: x}\n", "line 5: stages: with 2 replicas it says not of which"},
		{two + "replicas:\n- {experts: {default: x}}\n", "line 5: replicas: stages is missing"},
		{two + "experts: {default: x}\nreplicas:\n- stages: [{layers: 0-5, device: x}]\n", "line 4: experts: replicas has a list"},
		{two + "replicas:\n- stages: [{layers: 0-5, device: x}]\n", "line 3: devices: y is of no replica"},
		{two + "replicas:\n- stages: [{layers: 0-5, device: x}]\n- stages: [{layers: 0-5, device: x}]\n", "line 6: replicas: device x is of replica 0 already"},
		{two + "replicas:\n- stages: [{layers: 0-5, device: x}]\n- stages: [{layers: 0-4, device: y}]\n", "line 6: stages: layers 5 of the model are in no stage"},
		{two + "replicas:\n- stages: [{layers: 0-5, device: z}]\n", `line 5: stages: device "z" is not in devices`},
		{two + "replicas: 2\nbetween_hosts_config: [1, 1]\n", "line 5: between_hosts_config: data 1, but there are 2 replicas"},
		{two + "replicas: 2\nlocal_mesh_config: [1, 2]\n", "line 5: local_mesh_config: model 2, but there are 1 devices"},
	} {
		f, err := Parse("p.yaml", []byte(test.text))
		if err == nil {
			_, _, err = f.Replicas(six())
		}
		if err == nil || !strings.HasPrefix(err.Error(), "p.yaml: ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.200q: %v, want … %s …", test.text, err, test.want)
		}
	}
	f, err := Parse("p.yaml", []byte(two+"replicas: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Place(six()); err == nil || !strings.Contains(err.Error(), "line 4: replicas: 2, and one is wanted here") {
		t.Error(err)
	}
}
