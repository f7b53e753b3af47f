package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// apartFile has experts away from their layers and more stages than devices.
const apartFile = `devices:
  - {name: a, kind: cpu, threads: 1}
  - {name: b, kind: cpu, threads: 1, threads_prefill: 2}
  - {name: c, kind: cpu, threads: 1}
stages:
  - {layers: 0, device: a}
  - {layers: 1-3, device: b}
  - {layers: 4-5, device: a}
experts:
  rules:
    - {layers: 0-2, experts: [0, 5-7], device: c}
    - {layers: 4, device: b}
`

func placementFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "place.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPlacementKeepsTokens: wherever experts and layers live, and however many sequences run, the tokens are the same.
func TestPlacementKeepsTokens(t *testing.T) {
	args := []string{"--quiet", "run", "--temperature", "0", "--max-tokens", "24", "--ids", "Tale: The Fox"}
	want := troupe(t, "", args...).ok(t).out
	for _, text := range []string{apartFile, "local_mesh_config: [2, 3]\nbetween_hosts_config: [1, 1]\n"} {
		if got := troupe(t, "", append(args, "--placement", placementFile(t, text))...).ok(t).out; got != want {
			t.Errorf("%s\ngives %s, want %s", text, got, want)
		}
	}
	if got := troupe(t, "", append(args, "--placement", "auto", "--devices", "cpu:1,cpu:2")...).ok(t).out; got != want {
		t.Errorf("auto gives %s, want %s", got, want)
	}
}

// TestPlanWritesPlacement: what is written and read again is the same plan.
func TestPlanWritesPlacement(t *testing.T) {
	for _, args := range [][]string{
		{"--devices", "cpu:1@10MB,cpu:2@1GB", "--placement", "auto"},
		{"--preset", "grok-1", "--devices", "4xgpu@80GB", "--expert-devices", "2xcpu:8/16@512GiB"},
		{"--placement", placementFile(t, apartFile)},
		{"--devices", "cpu:2@1GB,a:7000=2xcpu:8@64GB", "--bandwidth", "10GB,20GB,30GB", "--flops", "1T", "--link", "0.1ms/10Gbit", "--max-batch", "4"},
	} {
		file := filepath.Join(t.TempDir(), "written.yaml")
		args = append(args, "--explain")
		want := planOf(t, append(args, "--write-placement", file)...)
		again := []string{"--placement", file, "--explain"}
		if i := slices.Index(args, "--max-batch"); i >= 0 {
			again = append(again, args[i:i+2]...)
		}
		if args[0] == "--preset" {
			again = append(again, args[:2]...)
		}
		got := planOf(t, again...)
		for _, r := range []*planReport{&want, &got} {
			for i, d := range r.Devices {
				r.Devices[i].Label = ""
				for j := range r.Hosts {
					r.Hosts[j].Name = ""
				}
				sum := int64(0)
				for _, x := range r.Explain.Parts {
					if x.Device == i {
						sum += x.Bytes
					}
				}
				if sum != d.Total {
					t.Errorf("%v: device %d: %d bytes explained of %d", args, i, sum, d.Total)
				}
			}
			r.Explain = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: read again %+v, want %+v", args, got, want)
		}
	}
}

// TestPlanExplains has the lines of the file, and what the reference's mesh has become.
func TestPlanExplains(t *testing.T) {
	file := placementFile(t, apartFile+"local_mesh_config: [3, 2]\n")
	o := troupe(t, "", "plan", "--placement", file, "--explain").ok(t)
	for _, want := range []string{"1 b", "3 x 1,024 positions", "Device 2 c", "0, 5-7 of layers 0-2: " + file + ", line 11", "the model axis is a pipeline of 2 devices", "the data axis is 3 times as many sequences"} {
		if !strings.Contains(o.out, want) {
			t.Errorf("without %q:\n%s", want, o.out)
		}
	}
	if r := planOf(t, "--placement", file, "--max-batch", "2"); r.Sequences != 2 {
		t.Errorf("%d sequences, want the 2 of --max-batch", r.Sequences)
	}
	o = troupe(t, "", "plan", "--devices", "2xcpu", "--write-placement", "-").ok(t)
	if !strings.HasPrefix(o.out, "# ") || strings.Contains(o.out, "parameters") {
		t.Errorf("want the file alone:\n%s", o.out)
	}
	var r planReport
	if err := json.Unmarshal([]byte(troupe(t, "", "plan", "--json").ok(t).out), &r); err != nil || r.Explain != nil {
		t.Errorf("%v: explained without --explain: %+v", err, r.Explain)
	}
}

func TestPlacementRefuses(t *testing.T) {
	gpu := placementFile(t, "devices: [{name: a, kind: gpu, memory: 80GB}]\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "--placement", "none.yaml", "x"}, "--placement: open none.yaml: "},
		{[]string{"run", "--placement", gpu, "x"}, `device 0 is "gpu", want cpu`},
		{[]string{"plan", "--placement", gpu, "--devices", "cpu"}, "--devices: the file says it: give one of them"},
		{[]string{"eval", "--placement", placementFile(t, "devices: [{name: a}]\nstages:\n- {layers: 0-4, device: a}\n")}, "line 3: stages: layers 5 of the model are in no stage"},
		{[]string{"bench", "--insecure", "--placement", placementFile(t, "hosts: [{name: a, address: a:7000, devices: 1}]\n")}, "--placement: a:7000 with --insecure"},
		{[]string{"plan", "--devices", "cpu,cpu", "--replicas", "3"}, "--replicas: 3, and there are 2 devices"},
		{[]string{"plan", "--devices", "cpu", "--link", "1ms/1GB"}, "--link: no device is on another host"},
		{[]string{"plan", "--devices", "cpu", "--link", "1ms"}, `--link: link "1ms", want LATENCY/RATE`},
		{[]string{"plan", "--devices", "a:1=cpu,b:1=cpu", "--link", "1ms/1GB,1ms/1GB,1ms/1GB"}, "--link: 3, want one, or one for each of the 2 hosts"},
		{[]string{"plan", "--devices", "cpu,cpu,cpu", "--bandwidth", "1GB,2GB"}, "--bandwidth: 2, want one, or one for each of the 3 devices"},
		{[]string{"plan", "--flops", "fast"}, `--flops: "fast", want operations a second`},
		{[]string{"plan", "--devices", "cpu", "--measure"}, "--measure: device 0 states no threads"},
		{[]string{"plan", "--devices", "a:1=cpu:2", "--measure"}, "--measure: no cpu device of this machine"},
	} {
		o := troupe(t, "", test.args...)
		if o.code != exitUsage || !strings.Contains(o.err, test.want) {
			t.Errorf("%v: exit %d: %s, want … %s …", test.args, o.code, o.err, test.want)
		}
	}
	o := troupe(t, "", "run", "--placement", placementFile(t, fmt.Sprintf("devices: [{name: a, threads: %d}]\n", runtime.GOMAXPROCS(0)+1)), "--max-tokens", "1", "x").ok(t)
	if !strings.Contains(o.err, " threads on ") {
		t.Errorf("no warning of the threads: %s", o.err)
	}
}
