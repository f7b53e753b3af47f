package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A policy file has parts on lines of their own, with comments; a bad one is blamed by name.
func TestExpertsFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		file := filepath.Join(dir, "policy.txt")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	run := func(spec string) outcome {
		return troupe(t, "", "run", "--temperature", "0", "--max-tokens", "12", "--experts", spec, "Tale: The Fox")
	}
	want := run("0-2:1;3:top-p:0.8+max:3;4-5:2+mask:7").ok(t)
	file := write("# tuned\r\n0-2:1\n\n3:top-p:0.8+max:3 ; # one layer\n4-5:2+mask:7\n")
	got := run("@" + file).ok(t)
	if got.out != want.out || !strings.Contains(got.err, "0-2:1;3:top-p:0.8+max:3;4-5:2+mask:7") {
		t.Errorf("from the file: %q, %s, want %q", got.out, got.err, want.out)
	}
	for text, blame := range map[string]string{"0-2:1\n1:2\n": "layer 1 is named twice", "": `count ""`, "top-q:1": `"top-q" is no term`} {
		write(text)
		if o := run("@" + file); o.code != exitUsage || !strings.Contains(o.err, blame) || !strings.Contains(o.err, file) {
			t.Errorf("%q: exit %d: %s", text, o.code, o.err)
		}
	}
	if o := run("@" + filepath.Join(dir, "none")); o.code != exitUsage || !strings.Contains(o.err, "none") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
