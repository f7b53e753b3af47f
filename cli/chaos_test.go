package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChaos: parts of a pipeline die while a text is made, and the text is the same; the report says what happened.
func TestChaos(t *testing.T) {
	args := []string{"run", "--temperature", "0.8", "--seed", "3", "--ignore-eos", "--max-tokens", "40", "Tale: The Lost Lantern"}
	plain := troupe(t, "", args...).ok(t).out
	three := append([]string{"run", "--stages", "3", "--devices", "cpu:1,cpu:1,cpu:1"}, args[1:]...)
	with := func(more ...string) outcome {
		return troupe(t, "", append(append([]string{"run"}, more...), three[1:]...)...)
	}

	o := with("--chaos", "kill stage=1 token=5; kill expert=2.3 token=9; kill router=2 token=12; kill stage=0 token=5000")
	if o.ok(t); o.out != plain {
		t.Errorf("with kills: %q, want %q", o.out, plain)
	}
	for _, want := range []string{"chaos: stage=1 killed at token 5: recovered after ", "chaos: expert=2.3 killed at token 9: recovered after ",
		"chaos: router=2 killed at token 12: recovered after ", "chaos: kill stage=0 token=5000: not reached", "chaos: 3 deeds, 3 deaths, "} {
		if !strings.Contains(o.err, want) {
			t.Errorf("%s\nwant … %s …", o.err, want)
		}
	}

	file := filepath.Join(t.TempDir(), "report.json")
	for _, journal := range []string{"true", "false"} {
		o = with("--chaos", "random:7,0.4", "--chaos-report", file, "--stage-journal="+journal)
		if o.ok(t); o.out != plain {
			t.Errorf("journal %s: %q, want %q", journal, o.out, plain)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r chaosReport
		if err := json.Unmarshal(raw, &r); err != nil || len(r.Injected) < 5 || r.Losses.Deaths < 5 || r.Losses.GivenUp > 0 || strings.Contains(o.err, "chaos: ") {
			t.Errorf("%s: %+v, %v: want 5 kills at least, told in the file alone\n%s", raw, r, err, o.err)
		}
	}

	for spec, want := range map[string]string{
		"kill stage=3 token=1": "there is no stage=3: there are stages and routers 0 to 2",
		"crash stage=1":        "crash is not done to a part: want kill or stop: want kills \"kill stage=2 token=57;",
	} {
		if o := with("--chaos", spec); o.code == 0 || !strings.Contains(o.err, want) {
			t.Errorf("%q: exit %d: %s, want … %s …", spec, o.code, o.err, want)
		}
	}
}
