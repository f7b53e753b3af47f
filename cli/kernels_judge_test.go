package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"troupe/kernels"
)

// altered is a library with another Compile.
type altered struct {
	kernels.Library
	compile func(kernels.Library, kernels.Segment) (kernels.Kernel, error)
}

func (a *altered) Compile(s kernels.Segment) (kernels.Kernel, error) { return a.compile(a.Library, s) }

// kernelFunc is a kernel.
type kernelFunc func(*kernels.Frame) error

func (k kernelFunc) Run(f *kernels.Frame) error { return k(f) }

// lendAltered lends ref with another Compile, by name, until the end of the test.
func lendAltered(t *testing.T, name string, compile func(kernels.Library, kernels.Segment) (kernels.Kernel, error)) {
	t.Helper()
	ref, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	v := kernels.Variant{Name: name, Doc: "a test", Score: func() int { return 1 }, Open: func(threads kernels.Threads) (kernels.Library, error) {
		lib, err := ref.Open(threads)
		return &altered{lib, compile}, err
	}}
	if err := kernels.Lend(v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernels.Return(name) })
}

func TestKernelsTest(t *testing.T) {
	text := troupe(t, "", "kernels", "test", "ref", "--op", "add,combine", "--threads", "1").ok(t).out
	for _, want := range []string{"ref 1, promise: identical\n", "\nadd ", "\ncombine ", "  kept\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "linear") || strings.Contains(text, "not") {
		t.Errorf("more than was asked:\n%s", text)
	}
}

// TestKernelsTestLiar: what a library does wrong is in the table, in the JSON and in the exit code.
func TestKernelsTestLiar(t *testing.T) {
	lendAltered(t, "test/liar", func(lib kernels.Library, s kernels.Segment) (kernels.Kernel, error) {
		k, err := lib.Compile(s)
		c := s.Calls[0]
		switch {
		case err != nil:
			return nil, err
		case c.Op == kernels.Add:
			return nil, kernels.ErrNoKernel
		case c.Op == kernels.RoPE && s.Arith == kernels.Exact:
			return nil, kernels.ErrNoKernel
		case c.Op == kernels.Route:
			return kernelFunc(func(*kernels.Frame) error { return errors.New("no more") }), nil
		case c.Op == kernels.Combine:
			return kernelFunc(func(f *kernels.Frame) error {
				err := k.Run(f)
				f.Bufs[c.Out[0]][0] += 1
				return err
			}), nil
		}
		return k, nil
	})
	args := []string{"kernels", "test", "test/liar", "--op", "rope,route,combine,add", "--threads", "1,2"}
	o := troupe(t, "", args...)
	for _, want := range []string{"not kept: 45 cases wrong", "not kept: 9 cases wrong, 12 left out", "not kept: in its list, and offered in no case",
		"kept; not offered: exact", "opened again ", "no more", "element 0: "} {
		if !strings.Contains(o.out, want) {
			t.Errorf("no %q in\n%s", want, o.out)
		}
	}
	if o.code != exitFailed || !strings.Contains(o.err, "test/liar: the promise is not kept") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	o = troupe(t, "", append(args, "--json")...)
	var j judgement
	if err := json.Unmarshal([]byte(o.out), &j); err != nil || o.code != exitFailed {
		t.Fatalf("exit %d: %s%s: %v", o.code, o.out, o.err, err)
	}
	if j.Kept || j.Library != "test/liar" || j.Promise != "identical" || len(j.Missing) != 1 || j.Missing[0] != "add" || j.Restarts == 0 || len(j.Ops) != 12 {
		t.Errorf("%+v", j)
	}
	for _, o := range j.Ops {
		switch o.Op {
		case "combine":
			if o.Failed != o.Cases || o.Error == "" || o.Difference == nil || *o.Difference == 0 {
				t.Errorf("%+v", o)
			}
		case "rope":
			if (o.Offered == 0) != (o.Arith == "exact") || o.Failed > 0 {
				t.Errorf("%+v", o)
			}
		}
	}
}

// TestKernelsTestNothing: that a library has been judged in none of its ops is no praise.
func TestKernelsTestNothing(t *testing.T) {
	long(t)
	lendAltered(t, "test/some", func(lib kernels.Library, s kernels.Segment) (kernels.Kernel, error) {
		if s.Calls[0].Op != kernels.Add {
			return nil, kernels.ErrNoKernel
		}
		return lib.Compile(s)
	})
	if err := kernels.Lend(kernels.Variant{Name: "test/add", Score: func() int { return 1 }, Open: func(threads kernels.Threads) (kernels.Library, error) {
		some, err := kernels.Find("test/some")
		if err != nil {
			return nil, err
		}
		lib, err := some.Open(threads)
		return &adder{lib}, err
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernels.Return("test/add") })
	args := []string{"kernels", "test", "test/add", "--arith", "exact", "--threads", "1", "--op"}
	if o := troupe(t, "", append(args, "rope")...); o.code != exitFailed || !strings.Contains(o.err, "nothing was judged") || !strings.Contains(o.out, "not one of its ops") {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
	troupe(t, "", append(args, "rope,add")...).ok(t)
	var r libraryBench
	bench := troupe(t, "", "kernels", "bench", "test/add", "--in", "32", "--reps", "1", "--threads", "1", "--json").ok(t)
	if err := json.Unmarshal([]byte(bench.out), &r); err != nil || len(r.Ops) != 1 || r.Ops[0].Op != "add" || len(r.Without) != 0 {
		t.Errorf("%v: %s", err, bench.out)
	}
}

// adder lists one op.
type adder struct{ kernels.Library }

func (a *adder) Info() kernels.Info {
	info := a.Library.Info()
	info.Ops = []kernels.Op{kernels.Add}
	return info
}

func TestKernelsTestRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "0 arguments, want one LIBRARY or FILE",
		"ref cpu":              "2 arguments, want one LIBRARY or FILE",
		"nothing":              `library "nothing" unknown: ` + "`troupe kernels list` shows those there are, and no file is called so",
		"./testdata":           "./testdata: a directory: want a plugin's file",
		"ref --op linaer":      `--op: op "linaer", want one of embed, rmsnorm`,
		"ref --arith fp8":      `--arith: kernels: arithmetic "fp8"`,
		"ref --threads 0":      "--threads: [0], want at most 16 numbers from 1 to 4096",
		"ref --threads one":    `--threads: "one": want numbers`,
		"ref --threads=1,9999": "--threads: [1 9999], want at most",
	} {
		if o := troupe(t, "", append([]string{"kernels", "test"}, strings.Fields(args)...)...); o.code != exitUsage || !strings.Contains(o.err, want) || o.out != "" {
			t.Errorf("%s: exit %d: %s, want %q", args, o.code, o.err, want)
		}
	}
}
