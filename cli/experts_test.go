package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"troupe/surgery"
)

// overlay writes an overlay by troupe experts and returns its file and what was said.
func overlay(t *testing.T, args ...string) (file, said string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "overlay.json")
	o := troupe(t, "", append([]string{"experts", args[0], "--out", file}, args[1:]...)...).ok(t)
	if o.out != "" {
		t.Errorf("%v prints %q", args, o.out)
	}
	return file, o.err
}

// logitBytes is the file of logits that a model gives, as bytes.
func logitBytes(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "logits.npy")
	troupe(t, "", append([]string{"logits", "-q", "--out", file, "--tokens", "7,8,9,250,31"}, args...)...).ok(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// foxTale is the text that the demo writes greedily.
func foxTale(t *testing.T, args ...string) string {
	t.Helper()
	return troupe(t, "", append([]string{"run", "-q", "--temperature", "0", "--max-tokens", "24", "Tale: The Fox"}, args...)...).ok(t).out
}

// TestUpcycledDemo: twice the experts, twice as many chosen: the same text.
func TestUpcycledDemo(t *testing.T) {
	file, said := overlay(t, "upcycle", "--experts", "16")
	if !strings.Contains(said, "16 experts of which 4 are chosen, instead of 8 and 2") || !strings.Contains(said, "24 MB of weights instead of 13 MB") || !strings.Contains(said, "computes 0 B of expert matrices") {
		t.Errorf("says %s", said)
	}
	for _, arith := range []string{"exact", "int8"} {
		want := foxTale(t, "--arith", arith)
		if got := foxTale(t, "--arith", arith, "--overlay", file); got != want {
			t.Errorf("%s: %q, want %q", arith, got, want)
		}
		if got := foxTale(t, "--arith", arith, "--overlay", file, "--experts", "2"); got == want {
			t.Errorf("%s: with a copy of one expert alone the text is still %q", arith, got)
		}
	}
	_, said = overlay(t, "upcycle", "--num-experts", "12", "--noise", "0.01", "--seed", "3")
	if !strings.Contains(said, "12 experts of which 2 are chosen") || strings.Contains(said, "computes 0 B") {
		t.Errorf("says %s", said)
	}
}

// TestOverlayComposes: an overlay on another; two swaps of the same experts are none, bit for bit.
func TestOverlayComposes(t *testing.T) {
	once, _ := overlay(t, "swap", "--pair", "layers 1-3: 0,7")
	twice, _ := overlay(t, "swap", "--pair", "1-3: 7,0", "--overlay", once)
	plain := logitBytes(t)
	if got := logitBytes(t, "--overlay", twice); got != plain {
		t.Error("two swaps change logits")
	}
	if got := logitBytes(t, "--overlay", twice, "--devices", "cpu:1,cpu:1", "--repack", "off"); got != plain {
		t.Error("on two devices without repacking: other logits")
	}
	pruned, _ := overlay(t, "prune", "--keep", "7,0,3,5; layers 0-2: 1,2,3,4")
	o := troupe(t, "", "experts", "duplicate", "--copy", "3", "--overlay", pruned, "--out", "-", "--num-selected-experts", "3").ok(t)
	both, err := surgery.Parse([]byte(o.out))
	if err != nil {
		t.Fatal(err)
	}
	if both.Experts != 8 || both.NumExperts() != 5 || both.Selected != 3 || both.Layers[5][4].Weights[0].Expert != 7 || both.Layers[0][4].Weights[0].Expert != 4 {
		t.Errorf("%+v", both)
	}
	if want := "prune --keep 7,0,3,5; layers 0-2: 1,2,3,4; duplicate --copy 3 --num-selected-experts 3"; both.Note != want {
		t.Errorf("note %q, want %q", both.Note, want)
	}
}

// TestOverlayConverted: the checkpoint that convert writes gives the logits of the overlay, bit for bit, in both
// containers and from both.
func TestOverlayConverted(t *testing.T) {
	averaged, _ := overlay(t, "average", "--groups", "0+1,2*0.3+3*0.7")
	file, _ := overlay(t, "upcycle", "--experts", "9", "--noise", "0.02", "--overlay", averaged)
	packed := filepath.Join(t.TempDir(), "packed")
	troupe(t, "", "convert", "-q", "--to", "packed", "--out", packed).ok(t)
	want := logitBytes(t, "--overlay", file)
	if want == logitBytes(t) {
		t.Error("the overlay changes nothing")
	}
	if got := logitBytes(t, "-m", packed, "--overlay", file); got != want {
		t.Error("over the packed model: other logits")
	}
	for _, from := range []string{"", packed} {
		for _, to := range []string{containerPacked, containerXAI} {
			out := filepath.Join(t.TempDir(), "new")
			o := troupe(t, "", "convert", "-m", from, "--overlay", file, "--to", to, "--out", out).ok(t)
			if !strings.Contains(o.err, "9 experts of which 2 are chosen") {
				t.Errorf("says %s", o.err)
			}
			if got := logitBytes(t, "-m", out); got != want {
				t.Errorf("from %q to %s: other logits", from, to)
			}
			var i inspection
			if err := json.Unmarshal([]byte(troupe(t, "", "inspect", "--verify", "--json", "-m", out).ok(t).out), &i); err != nil || i.Config.Model.NumExperts != 9 || i.Container != to {
				t.Errorf("%s: %+v, %v", to, i.Config.Model, err)
			}
		}
	}
}

// TestOverlayEverywhere: every command sees the model that the overlay makes.
func TestOverlayEverywhere(t *testing.T) {
	file, said := overlay(t, "prune", "--drop", "5; layers 0-2: 1")
	if !strings.Contains(said, "7 experts of which 2") {
		t.Errorf("says %s", said)
	}
	var i inspection
	if err := json.Unmarshal([]byte(troupe(t, "", "inspect", "--json", "--overlay", file).ok(t).out), &i); err != nil {
		t.Fatal(err)
	}
	last := i.Checks[len(i.Checks)-1]
	if i.Config.Model.NumExperts != 7 || last.Name != "overlay" || !strings.Contains(last.Detail, "prune --drop 5") || i.Parameters >= 11_600_000 {
		t.Errorf("inspect: %d experts, %d parameters, %+v", i.Config.Model.NumExperts, i.Parameters, last)
	}
	var before, after planReport
	for _, c := range []struct {
		args string
		to   *planReport
	}{{"plan --json", &before}, {"plan --json --overlay " + file, &after}} {
		if err := json.Unmarshal([]byte(troupe(t, "", strings.Fields(c.args)...).ok(t).out), c.to); err != nil {
			t.Fatal(err)
		}
	}
	if d := before.Host.Weights - after.Host.Weights; d < 1_300_000 || d > 1_500_000 { // one of 8 experts of 11 MB
		t.Errorf("plan: %d bytes of weights less", d)
	}
	text := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(text, []byte("Tale: The Fox\n\nLong ago a fox lived by a river."), 0o644); err != nil {
		t.Fatal(err)
	}
	loss := func(args ...string) string {
		return troupe(t, "", append([]string{"eval", "-q", "--json", "--text", text}, args...)...).ok(t).out
	}
	if loss() == loss("--overlay", file) {
		t.Error("eval: the same loss with an expert less")
	}
	if o := troupe(t, "", "run", "--overlay", file, "--experts", "8", "x"); o.code != exitUsage || !strings.Contains(o.err, "want 1 to 7") {
		t.Errorf("--experts 8 of 7: exit %d, %s", o.code, o.err)
	}
}

func TestExpertsRefuse(t *testing.T) {
	dir := makeTiny(t) // 3 layers of 5 experts
	out := filepath.Join(t.TempDir(), "x.json")
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"troupe_overlay": 1, "num_layrs": 3}`), 0o644); err != nil {
		t.Fatal(err)
	}
	demo, _ := overlay(t, "prune", "--drop", "5")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"prune|--out|" + out, exitUsage, "want --keep or --drop with a list"},
		{"prune|--drop|1", exitUsage, "--out: no file"},
		{"prune|--drop|5|--out|" + out, exitUsage, "--drop: expert 5, want 0 to 4"},
		{"prune|--drop|1,x|--out|" + out, exitUsage, `--drop: "x": want numbers`},
		{"prune|--drop|0,1,2,3,4|--out|" + out, exitUsage, "layer 0: 0 experts"},
		{"prune|--drop|1; layers 0: 1,2|--out|" + out, exitUsage, "all layers need as many"},
		{"prune|--drop|layers 0-1: 1|--out|" + out, exitUsage, "nothing for layer 2"},
		{"prune|--drop|1;2|--out|" + out, exitUsage, "both for the other layers"},
		{"prune|--drop|1;;|--out|" + out, exitUsage, "an empty entry"},
		{"prune|--drop|layers 2-3: 1|--out|" + out, exitUsage, `layers "layers 2-3", want some of 0 to 2`},
		{"prune|--drop|0-1: 1; 1: 2|--out|" + out, exitUsage, "layer 1 is named twice"},
		{"prune|--drop|1: ;2|--out|" + out, exitUsage, "no experts behind the colon"},
		{"prune|--keep|1,1|--out|" + out, exitUsage, "keeps [1 1]"},
		{"duplicate|--out|" + out, exitUsage, "--copy: empty: want experts"},
		{"swap|--pair|1|--out|" + out, exitUsage, "swaps [1]: want two different experts"},
		{"average|--groups|1+2*3|--out|" + out, exitUsage, "a share for some of the experts"},
		{"average|--groups|1-2|--out|" + out, exitUsage, "want experts with a + between them"},
		{"average|--groups|1*0.5+2*0.6|--out|" + out, exitUsage, "shares add up to 1.1, want 1"},
		{"average|--groups|1*NaN+2*0.6|--out|" + out, exitUsage, "share NaN of old expert 1"},
		{"average|--groups|1|--out|" + out, exitUsage, "averages 1 experts"},
		{"average|--groups|1+2|--router|sum|--out|" + out, exitUsage, `"sum", want average or first`},
		{"upcycle|--out|" + out, exitUsage, "--num-experts: none: say how many"},
		{"upcycle|--experts|10|--noise|-1|--out|" + out, exitUsage, "noise -1"},
		{"upcycle|--experts|10|--num-selected-experts|11|--out|" + out, exitUsage, "--num-selected-experts: 11, want 1 to 10"},
		{"upcycle|--experts|10|--overlay|" + demo + "|--out|" + out, exitFailed, "6 layers of 8 experts, and the model has 3 of 5"},
		{"upcycle|--experts|10|--overlay|" + bad + "|--out|" + out, exitFailed, `unknown field "num_layrs"`},
		{"upcycle|--experts|10|--overlay|nowhere.json|--out|" + out, exitFailed, "nowhere.json"},
		{"upcycle|--experts|10|--out|" + filepath.Join(out, "below"), exitFailed, "below"},
	} {
		o := troupe(t, "", append([]string{"experts"}, strings.Split(c.args+"|-m|"+dir, "|")...)...)
		if o.code != c.code || !strings.Contains(o.err, c.says) || o.out != "" {
			t.Errorf("%s: exit %d, %s, want %d, %s", c.args, o.code, o.err, c.code, c.says)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused command has left its file")
	}
	for _, command := range []string{"run --tokens 1 --ids", "inspect", "plan", "logits --tokens 1 --out x.npy", "convert --to xai --out x", "bench"} {
		if o := troupe(t, "", append(strings.Fields(command), "-m", dir, "--overlay", demo)...); o.code != exitFailed || !strings.Contains(o.err, "--overlay: "+demo) {
			t.Errorf("%s with another model's overlay: exit %d, %s", command, o.code, o.err)
		}
	}
	if o := troupe(t, "", "plan", "--preset", "grok-1", "--overlay", demo); o.code != exitUsage || !strings.Contains(o.err, "--overlay and flags of the configuration") {
		t.Errorf("plan --preset --overlay: exit %d, %s", o.code, o.err)
	}
}

// TestAnyNumberOfExperts: models of 1 to 64 experts go through every command.
func TestAnyNumberOfExperts(t *testing.T) {
	for _, n := range [][2]int{{1, 1}, {3, 2}, {4, 2}, {16, 3}, {64, 5}} {
		experts, selected := strconv.Itoa(n[0]), strconv.Itoa(n[1])
		dir := makeTiny(t, "--num-experts", experts, "--num-selected-experts", selected, "--vocab-size", "2048")
		if err := copyTokenizer(dir); err != nil {
			t.Fatal(err)
		}
		packed := filepath.Join(t.TempDir(), "packed")
		troupe(t, "", "convert", "-q", "-m", dir, "--to", "packed", "--out", packed).ok(t)
		want := logitBytes(t, "-m", dir)
		for _, args := range [][]string{{"-m", packed}, {"-m", dir, "--experts", selected}, {"-m", dir, "--kernels", "ref"}, {"-m", dir, "--devices", "cpu:1,cpu:1", "--prefill-chunk", "2"}} {
			if got := logitBytes(t, args...); got != want {
				t.Errorf("%s experts: %v: other logits", experts, args)
			}
		}
		if n[0] > 1 == (logitBytes(t, "-m", dir, "--experts", experts) == want) {
			t.Errorf("%s experts: all of them chosen gives the same logits: %v", experts, n[0] > 1)
		}
		text := filepath.Join(dir, "text.txt")
		if err := os.WriteFile(text, []byte("A fox and a hen."), 0o644); err != nil {
			t.Fatal(err)
		}
		var e struct {
			Total struct{ Perplexity float64 }
		}
		if err := json.Unmarshal([]byte(troupe(t, "", "eval", "-q", "--json", "-m", dir, "--text", text).ok(t).out), &e); err != nil || !(e.Total.Perplexity > 1) {
			t.Errorf("%s experts: eval %+v, %v", experts, e, err)
		}
		var i inspection
		if err := json.Unmarshal([]byte(troupe(t, "", "inspect", "--json", "-m", dir).ok(t).out), &i); err != nil || i.Config.Model.NumExperts != n[0] {
			t.Errorf("%s experts: inspect %+v, %v", experts, i.Config.Model, err)
		}
		troupe(t, "", "plan", "-m", dir).ok(t)
		if o := troupe(t, "", "run", "-q", "-m", dir, "--max-tokens", "6", "--ignore-eos", "--ids", "A fox").ok(t); len(strings.Split(o.out, ",")) != 6 {
			t.Errorf("%s experts: run prints %q", experts, o.out)
		}
	}
}

func copyTokenizer(dir string) error {
	raw, err := os.ReadFile("../model/demo/tokenizer.model")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tokenizer.model"), raw, 0o644)
}
