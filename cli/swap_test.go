package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"troupe/kernels"
)

// swapped runs the demo greedily with these arguments more, and returns what came and the events.
func swapped(t *testing.T, more ...string) (outcome, []kernelEvent) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.jsonl")
	o := troupe(t, "", append([]string{"run", "--temperature", "0", "--arith", "exact", "--ignore-eos", "--threads", "1",
		"--kernel-events", file, "Tale: The Lost Lantern"}, more...)...)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err, o.err)
	}
	return o, lines[kernelEvent](t, string(raw))
}

// steps are those of events, without repetitions.
func steps(events []kernelEvent) (list []string) {
	for _, e := range events {
		if n := len(list); n == 0 || list[n-1] != e.Step {
			list = append(list, e.Step)
		}
	}
	return list
}

// TestSwap: kernels come and go while a text is made, and the text is the same.
func TestSwap(t *testing.T) {
	long(t)
	plain := troupe(t, "", "run", "--temperature", "0", "--arith", "exact", "--ignore-eos", "--max-tokens", "120", "Tale: The Lost Lantern").ok(t).out
	o, events := swapped(t, "--max-tokens", "120", "--stages", "2", "--swap", "token=3 expert=ref shadow=2", "--swap", "token=30 attend@0-2=ref,add=ref shadow=1", "--swap", "token=60 shadow=0 cpu/generic", "--swap", "token=5000 ref")
	if o.ok(t); o.out != plain {
		t.Errorf("swapped: %q, want %q", o.out, plain)
	}
	promoted := 0
	for _, e := range events {
		if e.Step == "promote" {
			promoted++
		}
		if e.Worst != nil || e.Step == "rollback" || e.Step == "mismatch" || e.Step == "fault" {
			t.Errorf("%+v", e)
		}
		if e.Time.IsZero() || e.Binding == "" {
			t.Errorf("%+v", e)
		}
	}
	if promoted != 3 || !strings.Contains(o.err, "troupe: kernels: promoted: ") || !strings.Contains(o.err, "identical") ||
		!strings.Contains(o.err, "--swap: ref never began: 120 tokens were made, and it waits for 5000") {
		t.Errorf("%d promoted, %v: %s", promoted, steps(events), o.err)
	}
}

// lendWrong lends ref with another sign in what it adds in one layer, but for the first runs.
func lendWrong(t *testing.T, name string, layer int, first int64) {
	var runs atomic.Int64
	lendAltered(t, name, func(lib kernels.Library, s kernels.Segment) (kernels.Kernel, error) {
		k, err := lib.Compile(s)
		if err != nil {
			return nil, err
		}
		return kernelFunc(func(f *kernels.Frame) error {
			err := k.Run(f)
			for _, c := range s.Calls {
				if c.Op == kernels.Add && c.Layer == layer && runs.Add(1) > first {
					f.Bufs[c.Out[0]][0] *= -1
				}
			}
			return err
		}), nil
	})
}

// TestSwapWrong: a wrong sign in one layer is found in the shadow, and never serves.
func TestSwapWrong(t *testing.T) {
	lendWrong(t, "test/wrong", 3, 0)
	o, events := swapped(t, "--max-tokens", "60", "--swap", "token=3 add=test/wrong")
	plain := troupe(t, "", "run", "-q", "--temperature", "0", "--arith", "exact", "--ignore-eos", "--max-tokens", "60", "Tale: The Lost Lantern").ok(t).out
	if o.ok(t); o.out != plain {
		t.Errorf("%q, want %q", o.out, plain)
	}
	if got := steps(events); slices.Contains(got, "promote") || !slices.Contains(got, "rollback") || !strings.Contains(o.err, "add layer 3 row 0") {
		t.Errorf("%v: %s", got, o.err)
	}
}

// TestSwapDoubts: what goes wrong only later is found by the first batch that is verified, and the result says which
// tokens rest on it.
func TestSwapDoubts(t *testing.T) {
	lendWrong(t, "test/later", 2, 40)
	o, events := swapped(t, "--max-tokens", "150", "--json", "--verify-fraction", "0.2", "--swap", "token=3 add=test/later shadow=1")
	results := strings.Split(strings.TrimSpace(o.ok(t).out), "\n")
	var r result
	if err := json.Unmarshal([]byte(results[len(results)-1]), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Kernels) == 0 || r.Kernels[0].Library != "test/later" || r.Kernels[0].From < 3 || r.Kernels[0].To != 149 || !strings.Contains(r.Kernels[0].Reason, "add layer 2") {
		t.Errorf("%+v: %v", r.Kernels, steps(events))
	}
	if !slices.Contains(steps(events), "rollback") || !strings.Contains(o.err, "rest on kernels that were found wrong") {
		t.Errorf("%v: %s", steps(events), o.err)
	}
	var last uint64
	for _, line := range results[:len(results)-1] {
		var e piece
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Generation < last {
			t.Fatalf("%s: generation %d behind %d, %v", line, e.Generation, last, err)
		}
		last = e.Generation
	}
	if last == 0 {
		t.Error("tokens have no generation")
	}
}
