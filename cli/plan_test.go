package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func planOf(t *testing.T, args ...string) planReport {
	t.Helper()
	var r planReport
	if err := json.Unmarshal([]byte(troupe(t, "", append([]string{"plan", "--json"}, args...)...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPlanGrok1 has the released model's published numbers.
func TestPlanGrok1(t *testing.T) {
	r := planOf(t, "--preset", "grok-1", "--devices", "8xgpu@80GB", "--bandwidth", "3.35TB/s")
	if r.Parameters != 315_684_820_992 || r.CheckpointBytes != 318_239_886_140 || r.Files != 770 || r.KVBytesPerToken != 256<<10 {
		t.Errorf("%+v", r)
	}
	if r.Bound.OneStream < 35 || r.Bound.OneStream > 40 {
		t.Errorf("one stream: at most %v tokens/s, want 35 to 40", r.Bound.OneStream)
	}
	for devices, want := range map[string]bool{"8xgpu@80GB": true, "gpu@139GB": false, "cpu@512GB": true, "8xgpu@40GB": false, "4xgpu@80GB": false} {
		r := planOf(t, "--preset", "grok-1", "--devices", devices)
		if r.Fits == nil || *r.Fits != want {
			t.Errorf("%s: fits %v, want %v", devices, r.Fits, want)
		}
	}
	one := planOf(t, "--preset", "grok-1", "--devices", "gpu@139GB").Devices[0]
	if one.Fit.Bits < 3 || one.Fit.Bits > 3.6 || one.Fit.Layers < 26 || one.Fit.Layers > 28 {
		t.Errorf("139 GB: would fit at %v bits a weight, or %d layers", one.Fit.Bits, one.Fit.Layers)
	}
	if r := planOf(t, "--preset", "grok-1", "--arith", "exact"); r.KVBytesPerToken != 512<<10 || r.Fits != nil {
		t.Errorf("exact: %d bytes of cache a token, fits %v", r.KVBytesPerToken, r.Fits)
	}
}

// TestPlanOfFiles counts the files that are there.
func TestPlanOfFiles(t *testing.T) {
	demo := planOf(t)
	if demo.CheckpointBytes != 13_096_608 || demo.Files != 74 {
		t.Errorf("demo: %d bytes in %d files", demo.CheckpointBytes, demo.Files)
	}
	plain, quantised := makeTiny(t, "--quantised", "none"), makeTiny(t)
	a, b := planOf(t, "-m", plain), planOf(t, "-m", quantised)
	if a.Parameters != b.Parameters || a.Host.Weights <= b.Host.Weights || a.ReadBytes <= b.ReadBytes {
		t.Errorf("plain %+v, quantised %+v", a, b)
	}
	c := planOf(t, append(tiny, "--quantised", "none")...)
	if c.CheckpointBytes != a.CheckpointBytes || c.Host != a.Host {
		t.Errorf("without files %+v, with them %+v", c, a)
	}
}

// TestPlanPrints has its table within a terminal's width.
func TestPlanPrints(t *testing.T) {
	o := troupe(t, "", "plan", "--preset", "grok-1", "--devices", "2xgpu@80GB,2xcpu@256GB", "--max-batch", "4").ok(t)
	for line := range strings.Lines(o.out) {
		if n := len([]rune(line)); n > helpWidth+1 {
			t.Errorf("%d columns: %s", n-1, line)
		}
	}
	if !strings.Contains(o.out, "It does not fit.") || !strings.Contains(o.out, "Device 0 needs") {
		t.Error(o.out)
	}
}

// TestPlanPredicts: what is stated of devices and links is predicted with, and only then.
func TestPlanPredicts(t *testing.T) {
	if r := planOf(t, "--devices", "cpu,cpu", "--bandwidth", "10GB"); r.Predicted != nil || r.Bound == nil {
		t.Errorf("one bandwidth alone: %+v", r.Predicted)
	}
	list := []string{"--preset", "grok-1", "--devices", "cpu:8@700GB,a:7000=cpu:8@700GB", "--bandwidth", "100GB,200GB", "--flops", "2T", "--max-batch", "8"}
	near := planOf(t, append(list, "--link", "0.1ms/100Gbit")...)
	far := planOf(t, append(list, "--link", "500ms/100Gbit")...)
	if near.Predicted == nil || far.Predicted == nil || near.Predicted.OneStream <= far.Predicted.OneStream || near.Predicted.Crossings != 2 || near.Predicted.Prefill <= 0 {
		t.Fatalf("near %+v, far %+v", near.Predicted, far.Predicted)
	}
	if near.Devices[1].Host != "a:7000" || near.Devices[1].Bandwidth != 2e11 || near.Hosts[0].Latency <= 0 || len(near.Predicted.Unknown) != 0 {
		t.Errorf("%+v, %+v", near.Devices[1], near.Hosts)
	}
	auto := planOf(t, append(list, "--link", "5s/100Gbit", "--placement", "auto")...)
	if len(auto.Devices) != 1 || auto.Devices[0].Host != "" || len(auto.LeftOut) != 1 || !strings.HasPrefix(auto.LeftOut[0].Device, "a:7000=cpu:8") {
		t.Errorf("auto over a slow link: %+v, left out %+v", auto.Devices, auto.LeftOut)
	}
	silent := troupe(t, "", "plan", "--devices", "cpu:1,a:7000=cpu:1", "--explain").ok(t)
	if !strings.Contains(silent.out, "Nothing is predicted: no forecast: bandwidth of device 0 (cpu:1), 1\n(a:7000=cpu:1) not stated") {
		t.Error(silent.out)
	}
	unknown := troupe(t, "", "plan", "--devices", "cpu:1,a:7000=cpu:1", "--explain", "--bandwidth", "1GB").ok(t)
	if !strings.Contains(unknown.out, "the way to a:7000 is not stated") {
		t.Error(unknown.out)
	}
	measured := troupe(t, "", "plan", "--devices", "cpu:1,cpu:1", "--explain", "--measure").ok(t)
	for _, want := range []string{"measured: device 0, 1 thread: reads ", "all 2 threads together: read ", "predicted ", "prefill"} {
		if !strings.Contains(strings.Join(strings.Fields(measured.out), " "), want) {
			t.Errorf("without %q:\n%s", want, measured.out)
		}
	}
}

// TestPlanReplicas counts each for itself, and their tokens together.
func TestPlanReplicas(t *testing.T) {
	one := planOf(t, "--devices", "cpu:1@1GB", "--flops", "1T", "--bandwidth", "10GB", "--max-batch", "2")
	two := planOf(t, "--devices", "cpu:1@1GB,cpu:1@1GB", "--flops", "1T", "--bandwidth", "10GB", "--max-batch", "2", "--replicas", "2")
	if len(two.Replicas) != 1 || two.Replicas[0].Predicted.Streams != one.Predicted.Streams || two.Predicted.All.Streams != 2*one.Predicted.Streams || two.Predicted.All.Replicas != 2 {
		t.Errorf("%+v, want twice %+v", two.Predicted, one.Predicted)
	}
	file := placementFile(t, "devices: [{name: a}, {name: b}]\nreplicas: 2\n")
	if r := planOf(t, "--placement", file); len(r.Replicas) != 1 || r.Replicas[0].Devices[0].Label != "b" {
		t.Errorf("%+v", r)
	}
	o := troupe(t, "", "plan", "--placement", file, "--explain").ok(t)
	if !strings.Contains(o.out, "Replica 1\n") || strings.Count(o.out, "2 replicas: pipelines") != 1 {
		t.Error(o.out)
	}
}

// TestPlanSimulates: one stream is as fast as predicted, links that are slow make it slower, and the trace has every device.
func TestPlanSimulates(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.json")
	list := []string{"--preset", "grok-1", "--devices", "cpu:8@700GB,a:7000=cpu:8@700GB", "--bandwidth", "200GB", "--flops", "20T", "--context", "256", "--n-gen", "16", "--simulate"}
	near := planOf(t, append(list, "--link", "0.1ms/100Gbit", "--trace", trace)...)
	far := planOf(t, append(list, "--link", "50ms/100Gbit")...)
	if near.Simulated == nil || far.Simulated == nil {
		t.Fatal("nothing is simulated")
	}
	if got, want := near.Simulated.TokensPerSecond, near.Predicted.OneStream; got < 0.97*want || got > 1.03*want {
		t.Errorf("one stream at %v tokens/s, predicted %v", got, want)
	}
	if got, want := far.Simulated.Between.P50-near.Simulated.Between.P50, 2*(50e-3-0.1e-3); got < 0.99*want || got > 1.01*want {
		t.Errorf("a token takes %v s longer over a link that does twice, want %v", got, want)
	}
	raw, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal(raw, &events); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, e := range events {
		if strings.Contains(e.Name, "expert") {
			seen[e.PID] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("experts of %d devices in the trace, want 2", len(seen))
	}
}
