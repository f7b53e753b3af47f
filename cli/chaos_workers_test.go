package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What --chaos does to workers and links is carried out and reported, and changes no byte.
func TestChaosOnWorkers(t *testing.T) {
	long(t)
	if runtime.GOOS == "windows" {
		t.Skip("processes are not stopped there")
	}
	want, _ := generate(t, "--max-tokens", "300", "Tale: The Fox")
	a, b, c := startWorker(t), startWorker(t), startWorker(t)
	report := filepath.Join(t.TempDir(), "report.json")
	got, errs := generate(t, "--insecure", "--workers", a.address+","+b.address, "--spares", c.address, "--silence", "1s", "--chaos-report", report, "--chaos-check",
		"--chaos", "stop expert=3.5 token=20 for=100ms; delay link=0 ms=2 token=30 for=200ms; stop worker=1 token=60 for=3s; kill worker=0 token=150; drop link=2 token=5000 for=1s", "--max-tokens", "300", "Tale: The Fox")
	if got != want {
		t.Errorf("%q, want %q: %s", got, want, errs)
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r chaosReport
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if r.Identical == nil || !*r.Identical {
		t.Errorf("not identical: %s", raw)
	}
	outcomes := map[string]string{}
	for _, i := range r.Injected {
		outcomes[i.Deed+" "+i.Part] = i.Outcome
	}
	for deed, outcome := range map[string]string{"stop expert=3.5": "unnoticed", "delay link=0": "unnoticed", "stop worker=1": "recovered", "kill worker=0": "recovered"} {
		if outcomes[deed] != outcome {
			t.Errorf("%s: %q, want %q: %s", deed, outcomes[deed], outcome, raw)
		}
	}
	if len(r.NotReached) != 1 || r.NotReached[0] != "drop link=2 token=5000 for=1s" {
		t.Errorf("not reached: %q", r.NotReached)
	}
}
