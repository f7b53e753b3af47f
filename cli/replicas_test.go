package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// promptsFile writes requests of every kind: greedy, sampled, short and long, with experts of their own.
func promptsFile(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":%d,"prompt":"Tale %d: The Fox","max_tokens":%d,"temperature":%d,"seed":%d,"experts":"%d"}`+"\n", i, i, 3+i%9, i%2, i, 1+i%3)
	}
	name := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// resultsOf are ids and tokens of a run's results, in their order.
func resultsOf(t *testing.T, out string) (all []string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var r struct {
			ID     int     `json:"id"`
			Tokens []int32 `json:"tokens"`
			Finish string  `json:"finish"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(r))
	}
	return all
}

// TestReplicasKeepTokens: replicas of any shape give what one engine gives, in the same order.
func TestReplicasKeepTokens(t *testing.T) {
	args := []string{"run", "--quiet", "--prompts", promptsFile(t, 20)}
	want := resultsOf(t, troupe(t, "", args...).ok(t).out)
	if len(want) != 20 {
		t.Fatalf("%d results", len(want))
	}
	mixed := placementFile(t, "devices: [{name: a, threads: 1}, {name: b, threads: 1}, {name: c, threads: 1}]\nreplicas:\n- stages: [{layers: 0-5, device: a}]\n- stages:\n  - {layers: 0-2, device: b}\n  - {layers: 3-5, device: c}\n")
	for _, more := range [][]string{{"--replicas", "2", "--devices", "cpu:1,cpu:1"}, {"--replicas", "3", "--devices", "6xcpu:1", "--max-batch", "1"}, {"--placement", mixed}} {
		if got := resultsOf(t, troupe(t, "", append(args, more...)...).ok(t).out); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %v, want %v", more, got, want)
		}
	}
	text := filepath.Join(t.TempDir(), "text.jsonl")
	if err := os.WriteFile(text, []byte("{\"text\":\"The fox and the heron.\"}\n{\"text\":\"A tale of two mice.\"}\n{\"text\":\"Once.\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loss := func(more ...string) (v float64) {
		var r struct {
			Total struct {
				Loss float64 `json:"loss"`
			} `json:"total"`
		}
		if err := json.Unmarshal([]byte(troupe(t, "", append([]string{"eval", "--quiet", "--json", "--text", text}, more...)...).ok(t).out), &r); err != nil {
			t.Fatal(err)
		}
		return r.Total.Loss
	}
	if a, b := loss(), loss("--replicas", "2", "--devices", "cpu:1,cpu:1"); a != b || a == 0 {
		t.Errorf("eval: loss %v with replicas, %v without", b, a)
	}
}

func TestReplicasRefuse(t *testing.T) {
	file := placementFile(t, "devices: [{name: a}, {name: b}]\nreplicas: 2\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"bench", "--placement", file}, "2 replicas: bench works with one engine"},
		{[]string{"logits", "--placement", file, "--tokens", "5", "--out", "x.npy"}, "2 replicas: logits works with one engine"},
		{[]string{"run", "--placement", file, "--trace", "t.json", "x"}, "--trace and 2 replicas"},
		{[]string{"run", "--placement", file, "--chaos", "kill expert=1.1 token=3", "x"}, "--chaos and 2 replicas"},
		{[]string{"run", "--placement", file, "--replicas", "2", "x"}, "the file says it"},
		{[]string{"run", "--replicas", "2", "x"}, "--replicas: 2, and there are 1 devices"},
		{[]string{"run", "--replicas", "0", "x"}, "--replicas: 0, want 1 to"},
		{[]string{"eval", "--placement", file, "--against", "exact"}, "--against and 2 replicas"},
	} {
		if o := troupe(t, "", test.args...); o.code != exitUsage || !strings.Contains(o.err, test.want) {
			t.Errorf("%v: exit %d: %s, want … %s …", test.args, o.code, o.err, test.want)
		}
	}
}

// TestReplicasOnWorkers: a replica here and on a worker, and one on another worker.
func TestReplicasOnWorkers(t *testing.T) {
	long(t)
	args := []string{"run", "--quiet", "--prompts", promptsFile(t, 12)}
	want := resultsOf(t, troupe(t, "", args...).ok(t).out)
	a, b := startWorker(t, "--devices", "cpu:1"), startWorker(t, "--devices", "cpu:1")
	file := placementFile(t, fmt.Sprintf("devices: [{name: here, threads: 1}]\nhosts:\n- {name: a, address: %s, devices: 1}\n- {name: b, address: %s, devices: 1}\nreplicas:\n- stages:\n  - {layers: 0-2, device: here}\n  - {layers: 3-5, device: a/0}\n- stages: [{layers: 0-5, device: b/0}]\n", a.address, b.address))
	for _, more := range [][]string{{"--placement", file}, {"--workers", a.address + "," + b.address, "--replicas", "2"}} {
		path, err := builtProgram()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, slices.Concat(args, []string{"--insecure"}, more)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", more, err, errs.String())
		}
		if got := resultsOf(t, string(out)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %v, want %v", more, got, want)
		}
	}
	if !strings.Contains(a.err.String(), "serving ") || !strings.Contains(b.err.String(), "serving ") {
		t.Errorf("the workers say %s and %s", a.err.String(), b.err.String())
	}
	both := placementFile(t, fmt.Sprintf("hosts:\n- {name: a, address: %s, devices: 2}\nreplicas: 2\n", a.address))
	if o := troupe(t, "", "run", "--insecure", "--placement", both, "x"); o.code != exitUsage || !strings.Contains(o.err, "it serves one engine at a time") {
		t.Errorf("a worker of two replicas: exit %d: %s", o.code, o.err)
	}
}

// TestPlanOfWorkers asks workers what they have: their memory and speed, and how far they are.
func TestPlanOfWorkers(t *testing.T) {
	long(t)
	a, b := startWorker(t, "--devices", "cpu:1@1GB,cpu:1@2GB"), startWorker(t, "--devices", "cpu:1@3GB", "--measure=false")
	r := planOf(t, "--insecure", "--workers", a.address, "--max-batch", "4")
	if len(r.Devices) != 2 || r.Devices[1].Memory != 2e9 || r.Devices[1].Number != 1 || r.Devices[1].Host != a.address || r.Devices[0].Bandwidth <= 0 || r.Devices[0].Flops <= 0 {
		t.Errorf("%+v", r.Devices)
	}
	if len(r.Hosts) != 1 || r.Hosts[0].Latency <= 0 || r.Predicted == nil || r.Predicted.Crossings != 4 {
		t.Errorf("%+v, %+v", r.Hosts, r.Predicted)
	}
	if r := planOf(t, "--insecure", "--workers", a.address+","+b.address, "--explain"); len(r.Devices) != 3 || r.Devices[2].Bandwidth != 0 || r.Predicted != nil {
		t.Errorf("with one that has not measured: %+v, %+v", r.Devices, r.Predicted)
	}
	o := troupe(t, "", "plan", "--insecure", "--workers", a.address, "--placement", placementFile(t, "devices: [{name: x}]\n"))
	if o.code != exitUsage || !strings.Contains(o.err, "the file says it") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
