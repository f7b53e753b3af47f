package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/stages"
)

func TestEventWords(t *testing.T) {
	wrong := stages.Difference{Op: kernels.Attend, Layer: 3, Expert: -1, Row: 1, Element: 2, What: "output", Got: 1.25, Want: -1.25, Relative: 0.5}
	for want, e := range map[string]actors.KernelEvent{
		"kernels: compile: expert=plugin:cpu":                    {Step: actors.StepCompile, Binding: "expert=plugin:cpu"},
		"kernels: shadow: a=b: 1 batch, 1 comparison, identical": {Step: actors.StepShadow, Binding: "a=b", Batches: 1, Compared: 1},
		"kernels: shadow: a=b: 4 batches, 96 comparisons, worst difference 0.5 (attend layer 3 row 1 element 2: got 1.25, want -1.25), 3 of 8 experts seen; old 41 µs, new 44 µs a call": {
			Step: actors.StepShadow, Binding: "a=b", Batches: 4, Compared: 96, Worst: wrong, Experts: 3, ExpertsAll: 8, OldNanos: 96 * 41e3, NewNanos: 96 * 44e3},
		"kernels: promoted: a=b":                    {Step: actors.StepPromote, Binding: "a=b"},
		"kernels: rolled back: a=b: plugin:b: gone": {Step: actors.StepRollback, Binding: "a=b", Reason: "actors: swap to a=b: rolled back: plugin:b: gone"},
		"kernels: rolled back: a=b: b: attend layer 3 row 1 element 2: got 1.25, want -1.25; 5 comparisons, worst difference 0.5; it served generations 2 to 4": {
			Step: actors.StepRollback, Binding: "a=b", Compared: 5, Worst: wrong, Reason: "b: " + wrong.String(), From: 2, To: 4},
		"kernels: shadow: a=b: begins": {Step: actors.StepShadow, Binding: "a=b"},
		"kernels: fault: plugin:x: crash; signal: killed; 12.5 ms lost": {Step: actors.StepFault, Library: "plugin:x", Fault: "crash",
			Reason: "signal: killed", Lost: 12500 * time.Microsecond},
		"kernels: fault: a=plugin:x: plugin:x crash; signal: killed": {Step: actors.StepFault, Binding: "a=plugin:x", Library: "plugin:x", Fault: "crash",
			Reason: "plugin:x: kernels: plugin:x: crash: signal: killed"},
		"kernels: verify: a=b: 64 batches, none compared; 1,640 launches, 12.5 % of the time": {Step: actors.StepVerify, Binding: "a=b", Batches: 64, Launches: 1640, Share: 0.125},
		"kernels: promoted: c=d": {Step: actors.StepPromote, Binding: "c=d", Batches: 4, Compared: 96, OldNanos: 96, NewNanos: 96},
		"kernels: rolled back: a=b: device 0: plugin:b: embed: no kernel: mend": {Step: actors.StepRollback, Binding: "a=b",
			Reason: "actors: swap to a=b: actors: device 0: stages: layer -1: plugin:b: plugins: plugin:b: embed: no kernel: mend"},
		"kernels: rolled back: a=b: 3 faults: the last one: plugin:b/c: crash: signal: killed": {Step: actors.StepRollback, Binding: "a=b",
			Reason: "3 faults: the last one: plugin:b/c: kernels: plugin:b/c: crash: signal: killed"},
		"kernels: verify: a=b: 64 batches, 1 comparison, identical; 640 launches, 12.5 % of the time": {Step: actors.StepVerify, Binding: "a=b", Batches: 64, Compared: 1, Launches: 640, Share: 0.125},
	} {
		if got := eventOf(e).words(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestEventJSON: numbers that JSON lacks are null, and the words survive.
func TestEventJSON(t *testing.T) {
	e := eventOf(actors.KernelEvent{Step: actors.StepMismatch, Worst: stages.Difference{Op: kernels.Add, Layer: 1, Expert: -1, What: "output",
		Got: float32(math.NaN()), Want: 1, Relative: math.Inf(1)}, Batches: 1, Compared: 1})
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back kernelEvent
	if err := json.Unmarshal(raw, &back); err != nil || back.Worst == nil || back.Worst.Got != nil || back.Worst.Relative != nil || back.Worst.Want == nil || back.words() != e.words() {
		t.Errorf("%s: %v", raw, err)
	}
	if !strings.Contains(e.words(), "beyond numbers (add layer 1 row 0 element 0: got NaN, want 1)") {
		t.Errorf("%s", e.words())
	}
}

// TestKernelEventsFull: a disk that is full is told of at once and at the end, and the text goes on.
func TestKernelEventsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	o := troupe(t, "", "run", "--temperature", "0", "--ignore-eos", "--max-tokens", "400", "--ids", "--kernel-events", "/dev/full", "--swap", "token=2 expert=cpu/generic shadow=1", "Tale:")
	if o.code != exitFailed || strings.Count(o.err, "troupe: kernel-events: ") != 2 || strings.Count(o.err, ": no more events are written\n") != 1 || strings.Count(o.out, ",") != 399 {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
}

func TestParseFraction(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "0.25": 0.25, "1/64": 1.0 / 64, "3/3": 1} {
		if f, err := parseFraction(text); err != nil || f != want {
			t.Errorf("%q: %v, %v, want %v", text, f, err, want)
		}
	}
	for _, text := range []string{"", "x", "-0.1", "1.1", "NaN", "1/0", "0/0", "3/2", "1/", "/2", "1/2/3", "Inf/Inf"} {
		if f, err := parseFraction(text); err == nil || !strings.Contains(err.Error(), "want 0 (nothing) to 1") {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
}

// TestReportCancelled: what went wrong besides is told as well.
func TestReportCancelled(t *testing.T) {
	var log strings.Builder
	p := newProgram(&interrupts{}, nil, nil, &log)
	full := errors.New("disk full")
	code := p.report(errors.Join(errors.Join(errInterrupted, full), fmt.Errorf("stop: %w", context.Canceled)))
	if want := "troupe: cancelled\ntroupe: disk full\n"; code != exitFailed || log.String() != want {
		t.Errorf("exit %d: %s, want %s", code, log.String(), want)
	}
}
