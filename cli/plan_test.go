package main

import (
	"encoding/json"
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
