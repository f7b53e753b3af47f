package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"troupe/kernels"
)

// TestKernelsList: every library is listed, those that cannot run here with what they need.
func TestKernelsList(t *testing.T) {
	text := troupe(t, "", "kernels", "list").ok(t).out
	var list []libraryReport
	if err := json.Unmarshal([]byte(troupe(t, "", "kernels", "list", "--json").ok(t).out), &list); err != nil {
		t.Fatal(err)
	}
	variants := slices.DeleteFunc(kernels.Variants(), func(v kernels.Variant) bool { return kernels.Lent(v.Name) })
	if len(list) != len(variants) {
		t.Fatalf("%d libraries, want %d", len(list), len(variants))
	}
	for i, v := range variants {
		if list[i].Name != v.Name || list[i].Score != v.Score() || !strings.Contains(text, "\n"+v.Name+" ") {
			t.Errorf("%+v, want %s", list[i], v.Name)
		}
		if v.Score() == 0 && (v.Needs == "" || !strings.Contains(text, "not here: it needs "+v.Needs)) {
			t.Errorf("%s cannot run here, and does not say why: %s", v.Name, text)
		}
	}
}

func TestKernelsBench(t *testing.T) {
	long(t)
	args := []string{"kernels", "bench", "linear", "--in", "64", "--out", "48", "--groups", "2", "--rows", "1,3", "--reps", "1", "--kernels", "cpu/generic,ref", "--threads", "2"}
	var r struct {
		Op      string
		Arith   string
		Results []struct {
			Kernels string
			Rows    int
			Micros  map[string]float64
			Share   float64 `json:"share_of_read_bandwidth"`
		}
	}
	if err := json.Unmarshal([]byte(troupe(t, "", append(args, "--json")...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Op != "linear" || r.Arith != "int8" || len(r.Results) != 4 {
		t.Fatalf("%+v", r)
	}
	if one := r.Results[3]; one.Kernels != "ref" || one.Rows != 3 || one.Micros["median"] <= 0 || one.Share <= 0 {
		t.Errorf("%+v", one)
	}
	o := troupe(t, "", append(args, "--arith", "exact")...).ok(t)
	if !strings.HasPrefix(o.out, "linear, exact, 2 threads; memory ") || strings.Count(o.out, "\ncpu/generic ") != 2 {
		t.Errorf("table: %s", o.out)
	}
}

// TestKernelsBenchLibrary: all ops of a library stand beside those of another, but for those that it lacks.
func TestKernelsBenchLibrary(t *testing.T) {
	long(t)
	lendAltered(t, "test/part", func(lib kernels.Library, s kernels.Segment) (kernels.Kernel, error) {
		if s.Calls[0].Op == kernels.Head {
			return nil, kernels.ErrNoKernel
		}
		return lib.Compile(s)
	})
	args := []string{"kernels", "bench", "test/part", "--op", "add,expert,head", "--in", "32", "--out", "48", "--context", "16", "--heads", "2", "--kv-heads", "1", "--key-size", "8", "--reps", "1", "--threads", "1"}
	var r libraryBench
	if err := json.Unmarshal([]byte(troupe(t, "", append(args, "--kernels", "ref", "--json")...).ok(t).out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Without) != 1 || r.Without[0] != (notOffered{"head", "test/part"}) || !slices.Equal(r.Libraries, []string{"test/part"}) || !slices.Equal(r.Against, []string{"ref"}) {
		t.Errorf("%+v", r)
	}
	for i, want := range []string{"expert 2", "add 2", "head 1"} { // in the order of the table
		if i >= len(r.Ops) || fmt.Sprint(r.Ops[i].Op, " ", len(r.Ops[i].Results)) != want {
			t.Errorf("%d: %+v, want %s", i, r.Ops, want)
		}
	}
	var out strings.Builder
	if err := newProgram(&interrupts{}, nil, &out, &out).printLibraryBench(r, false); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Count(text, "  test/part  ") != 2 || strings.Count(text, "  ref  ") != 3 || !strings.HasSuffix(text, "head: not offered by test/part at this shape\n") {
		t.Errorf("%s", text)
	}
}

func TestKernelsBenchRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                                  "0 arguments, want one OP of embed, rmsnorm,",
		"linear head":                       "2 arguments, want one OP",
		"linaer":                            `"linaer": neither an op (embed, rmsnorm,`,
		"linear --rows 1,x":                 `--rows: "x": want numbers`,
		"linear --rows 0":                   "--rows: 0, want 1 to",
		"linear --in 0":                     "--in: 0, want 1 to",
		"linear --in 1000000 --out 1000000": "want at most 4294967296 elements",
		"linear --groups 3":                 "--groups: 3, want a divisor of the 2048 inputs",
		"expert --groups 3":                 "--groups: 3, want a divisor of the expert's width 8192",
		"attend --heads 9":                  "--kv-heads: 8, want a divisor of the 9 heads",
		"rope --key-size 7":                 "--key-size: 7, want an even number",
		"linear --kernels nothing":          `--kernels: kernels: library "nothing" unknown`,
		"linear --arith fp8":                `--arith: kernels: arithmetic "fp8"`,
		"linear --threads 0":                "--threads: 0, want 1 to 4096",
		"combine --experts 0":               "--experts: 0, want 1 to",
		"linear --op add":                   "--op: with the op linear there are no others",
		"ref --op ad":                       `--op: op "ad", want one of`,
		"linear --reps 0":                   "--reps: 0, want 1 to",
	} {
		if o := troupe(t, "", append([]string{"kernels", "bench"}, strings.Fields(args)...)...); o.code != exitUsage || !strings.Contains(o.err, want) || o.out != "" {
			t.Errorf("%s: exit %d: %s, want %q", args, o.code, o.err, want)
		}
	}
}

// TestLibrariesPrinted: what is long is said short, and where plugins are stands in a table of its own.
func TestLibrariesPrinted(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for op := range kernels.NumOps {
		all = append(all, op.String())
	}
	host := filepath.Join(here, "bin", "cabi")
	var out strings.Builder
	p := newProgram(&interrupts{}, nil, &out, &out)
	if err := p.printLibraries([]libraryReport{
		{Name: "ref", Doc: "definition", Score: 1, Promise: "identical", Ops: all},
		{Name: "plugin:a/fast", Doc: "fast", Score: 2, Promise: "close", Ops: all[2:], Path: filepath.Join(here, "bin", "a")},
		{Name: "plugin:a/slow", Doc: "slow", Needs: "time", Path: filepath.Join(here, "bin", "a")},
		{Name: "plugin:c", Doc: "in C", Score: 3, Promise: "identical", Ops: all[:2], Path: host + " " + filepath.Join(here, "bin", "c.so")},
		{Error: "plugins: x: no"},
	}, &out); err != nil {
		t.Fatal(err)
	}
	const want = `Library        Score  Result     Ops
─────────────────────────────────────────────────────────────────────────────────
ref                1  identical  all                    definition
plugin:a/fast      2  close      all but embed rmsnorm  fast
plugin:a/slow      0                                    not here: it needs time
plugin:c           3  identical  embed rmsnorm          in C

Plugin    File
────────────────────
plugin:a  bin/a
plugin:c  bin/c.so

not usable: plugins: x: no
`
	if got := out.String(); got != filepath.FromSlash(want) {
		t.Errorf("%s", got)
	}
}
