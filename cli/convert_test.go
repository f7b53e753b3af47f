package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troupe/ckpt"
)

// TestConvert takes models there and back: the same bytes, and the same tokens on the way, also when pickles
// are repacked in memory.
func TestConvert(t *testing.T) {
	for _, kind := range []string{"int8", "experts", "attention", "none"} {
		t.Run(kind, func(t *testing.T) {
			dir := makeTiny(t, "--quantised", kind)
			packed, again := filepath.Join(t.TempDir(), "a", "packed"), filepath.Join(t.TempDir(), "again")
			o := troupe(t, "", "convert", "-m", dir, "--to", "packed", "--out", packed).ok(t)
			if o.out != "" || !strings.Contains(o.err, "no tokenizer.model") || !strings.Contains(o.err, "as packed in") {
				t.Errorf("prints %q and %q", o.out, o.err)
			}
			tokens := func(flags ...string) string {
				return troupe(t, "", append(strings.Fields("run -q --ids --ignore-eos --temperature 0 --max-tokens 12 --tokens 7,8,9"), flags...)...).ok(t).out
			}
			want := tokens("-m", dir, "--repack", "off")
			for _, flags := range [][]string{{"-m", packed}, {"-m", packed, "--repack", "on"}, {"-m", dir, "--repack", "on"}, {"-m", dir}} {
				if got := tokens(flags...); got != want {
					t.Errorf("%v: %s, want %s", flags, got, want)
				}
			}
			troupe(t, "", "convert", "-q", "-m", packed, "--to", "xai", "--out", again).ok(t)
			a, b := contents(t, dir), contents(t, again)
			if len(a) != len(b) {
				t.Errorf("%d files, want %d", len(b), len(a))
			}
			for name := range a {
				if a[name] != b[name] {
					t.Errorf("%s: other bytes", name)
				}
			}
			twice := filepath.Join(t.TempDir(), "twice")
			troupe(t, "", "convert", "-q", "-m", packed, "--to", "packed", "--out", twice).ok(t)
			if a, b := contents(t, packed), contents(t, twice); a[ckpt.PackedName] != b[ckpt.PackedName] {
				t.Error("a packed model that is packed again has other bytes")
			}
		})
	}
}

// TestConvertDemo: the embedded model, whose pickles come from another writer, goes there and back with its
// tokenizer.
func TestConvertDemo(t *testing.T) {
	packed, again := filepath.Join(t.TempDir(), "packed"), filepath.Join(t.TempDir(), "again")
	troupe(t, "", "convert", "-q", "--to", "packed", "--out", packed).ok(t)
	troupe(t, "", "convert", "-q", "-m", packed, "--to", "xai", "--out", again).ok(t)
	got := contents(t, again)
	if len(got) != 76 {
		t.Errorf("%d files, want 76", len(got))
	}
	for name, text := range got {
		raw, err := os.ReadFile(filepath.Join("../model/demo", name))
		if err != nil || string(raw) != text {
			t.Errorf("%s: other bytes (%v)", name, err)
		}
	}
	const run = "run -q --temperature 0 --max-tokens 8"
	args := func(more ...string) []string { return append(strings.Fields(run), more...) }
	want := troupe(t, "", args("--repack", "off", "Tale:")...).ok(t).out
	for _, flags := range [][]string{{"-m", packed}, {"--repack", "on"}} {
		if got := troupe(t, "", args(append(flags, "Tale:")...)...).ok(t).out; got != want {
			t.Errorf("%v: %q, want %q", flags, got, want)
		}
	}
	if o := troupe(t, "", "run", "--repack", "on", "--max-tokens", "1", "Tale:").ok(t); !strings.Contains(o.err, "repacked in") {
		t.Errorf("what repacking cost is not told: %s", o.err)
	}
	var p planReport
	if err := json.Unmarshal([]byte(troupe(t, "", "plan", "--json", "-m", packed).ok(t).out), &p); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(packed, ckpt.PackedName))
	if err != nil || p.Files != 1 || p.CheckpointBytes != info.Size() || float64(info.Size()) > 1.01*float64(p.Host.Weights) {
		t.Errorf("plan: %d files, %d bytes, %d of weights (%v)", p.Files, p.CheckpointBytes, p.Host.Weights, err)
	}
}

func TestConvertRefuses(t *testing.T) {
	dir := makeTiny(t)
	used := filepath.Join(t.TempDir(), "used")
	troupe(t, "", "convert", "-q", "-m", dir, "--to", "packed", "--out", used).ok(t)
	before := contents(t, used)
	fresh := filepath.Join(t.TempDir(), "fresh")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--out " + fresh, exitUsage, "--to: no container: want packed or xai"},
		{"--to packd --out " + fresh, exitUsage, `"packd", want packed or xai: did you mean packed?`},
		{"--to packed", exitUsage, "--out: no directory"},
		{"--to packed --out " + used, exitFailed, "not empty"},
		{"--to packed --out " + dir, exitFailed, "not empty"},
		{"--to packed -m nowhere --out " + fresh, exitFailed, "want a model directory"},
	} {
		o := troupe(t, "", append([]string{"convert", "-m", dir}, strings.Fields(c.args)...)...)
		if o.code != c.code || !strings.Contains(o.err, c.says) {
			t.Errorf("%s: exit %d, %s, want %d, %s", c.args, o.code, o.err, c.code, c.says)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a refused conversion left its directory")
	}
	for name, text := range contents(t, used) {
		if before[name] != text {
			t.Errorf("%s was touched", name)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "ckpt-0/tensor00003_000"), 100); err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "convert", "-m", dir, "--to", "packed", "--out", fresh); o.code != exitFailed || !strings.Contains(o.err, "tensor00003_000") {
		t.Errorf("a damaged source: exit %d: %s", o.code, o.err)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a failed conversion left its directory")
	}
}

// TestInspectVerify damages a packed model in two places.
func TestInspectVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "packed")
	troupe(t, "", "convert", "-q", "-m", makeTiny(t), "--to", "packed", "--out", dir).ok(t)
	inspect := func() (i inspection, code int) {
		o := troupe(t, "", "inspect", "--verify", "--json", "-m", dir)
		if err := json.Unmarshal([]byte(o.out), &i); err != nil {
			t.Fatal(err)
		}
		return i, o.code
	}
	i, code := inspect()
	if code != exitOK || i.failed() > 0 || i.Container != "packed" || len(i.Tensors) != 38 {
		t.Fatalf("exit %d, %d tensors, %+v", code, len(i.Tensors), i.Checks)
	}
	f, err := os.OpenFile(filepath.Join(dir, ckpt.PackedName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{3, 5} { // matrices: a bit of each
		var b [1]byte
		if _, err := f.ReadAt(b[:], i.Tensors[n].Offset+9); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 4
		if _, err := f.WriteAt(b[:], i.Tensors[n].Offset+9); err != nil {
			t.Fatal(err)
		}
	}
	j, code := inspect()
	found := ""
	for _, c := range j.Checks {
		if c.Result == "failed" {
			found += c.Name + " " + c.Detail + "\n"
		}
	}
	if code != exitFailed || j.failed() != 2 || !strings.Contains(found, i.Tensors[3].Name+".panels.0") || !strings.Contains(found, i.Tensors[5].Name+".panels: ") {
		t.Errorf("exit %d: %s", code, found)
	}
	if _, err := f.WriteAt(make([]byte, 8), 0); err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "run", "-q", "-m", dir, "--ids", "--tokens", "1"); o.code != exitFailed || !strings.Contains(o.err, ckpt.PackedName) {
		t.Errorf("a broken header: exit %d: %s", o.code, o.err)
	}
}
