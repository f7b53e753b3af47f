package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"troupe/ckpt"
)

// tiny are flags of a model that is made and run in no time.
var tiny = strings.Fields("--num-layers 3 --emb-size 48 --key-size 8 --num-q-heads 4 --num-kv-heads 2 --num-experts 5 --num-selected-experts 3 --vocab-size 300 --sequence-len 64")

func makeTiny(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	troupe(t, "", slices.Concat([]string{"new", "-q", "--out", dir}, tiny, flags)...).ok(t)
	return dir
}

// contents reads all files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNew makes every kind of checkpoint and has it inspected and run.
func TestNew(t *testing.T) {
	for _, kind := range []string{"int8", "experts", "attention", "none"} {
		dir := makeTiny(t, "--quantised", kind)
		var i inspection
		if err := json.Unmarshal([]byte(troupe(t, "", "inspect", "--json", "-m", dir).ok(t).out), &i); err != nil {
			t.Fatal(err)
		}
		int8s := 0
		for _, x := range i.Tensors {
			if x.DType == "int8" {
				int8s++
			}
		}
		if want := map[string]int{"int8": 21, "experts": 9, "attention": 12, "none": 0}[kind]; int8s != want || len(i.Tensors) != 2+3*12 {
			t.Errorf("%s: %d int8 tensors of %d, want %d of 38", kind, int8s, len(i.Tensors), want)
		}
		o := troupe(t, "", "run", "-q", "-m", dir, "--ids", "--ignore-eos", "--temperature", "0", "--max-tokens", "20", "--tokens", "7,8,9").ok(t)
		ids, err := parseIDs(strings.TrimSpace(o.out))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		if distinct := len(slices.Compact(ids)); distinct < 5 {
			t.Errorf("%s: %d different tokens of 20: %s", kind, distinct, o.out)
		}
	}
}

// TestNewIsAFunctionOfTheSeed compares bytes.
func TestNewIsAFunctionOfTheSeed(t *testing.T) {
	a, b, c := contents(t, makeTiny(t, "--seed", "7")), contents(t, makeTiny(t, "--seed", "7")), contents(t, makeTiny(t, "--seed", "8"))
	if len(a) != 2+3*12+1 {
		t.Errorf("%d files", len(a))
	}
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s: other bytes with the same seed", name)
		}
		if name != "config.json" && a[name] == c[name] {
			t.Errorf("%s: the same bytes with another seed", name)
		}
	}
}

// TestGrok1 makes the released model's files, empty, and has them recognised without config.json.
func TestGrok1(t *testing.T) {
	long(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs a file system that keeps holes as holes")
	}
	dir := filepath.Join(t.TempDir(), "grok-1")
	troupe(t, "", "new", "--out", dir, "--preset", "grok-1", "--sparse").ok(t)
	if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	var i inspection
	if err := json.Unmarshal([]byte(troupe(t, "", "inspect", "--json", "-m", dir).ok(t).out), &i); err != nil {
		t.Fatal(err)
	}
	if i.Bytes != 318_239_886_140 || i.Parameters != 315_684_820_992 || len(i.Tensors) != 770 || !strings.Contains(i.Source, "Grok-1") || i.failed() > 0 {
		t.Errorf("%d bytes, %d parameters, %d tensors, %s, %+v", i.Bytes, i.Parameters, len(i.Tensors), i.Source, i.Checks)
	}
	o := troupe(t, "", "run", "-m", dir, "--ids", "--tokens", "1")
	if o.code != exitFailed || !strings.Contains(o.err, "tensor") {
		t.Errorf("run of empty files: exit %d: %s", o.code, o.err)
	}
	if err := os.Rename(filepath.Join(dir, "ckpt-0/tensor00002_000"), filepath.Join(dir, "ckpt-0/tensor00003_001")); err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "inspect", "-m", dir); o.code != exitFailed {
		t.Errorf("a file moved: exit %d: %s", o.code, o.out)
	}
}

// TestInspectFinds damages checkpoints.
func TestInspectFinds(t *testing.T) {
	file := func(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string) error
		check  string
	}{
		"a file is cut":     {func(_ *testing.T, dir string) error { return os.Truncate(file(dir, "ckpt-0/tensor00003_000"), 100) }, "headers"},
		"a file is missing": {func(_ *testing.T, dir string) error { return os.Remove(file(dir, "ckpt-0/tensor00003_000")) }, "headers"},
		"two files change places": {func(_ *testing.T, dir string) error {
			a, b, x := file(dir, "ckpt-0/tensor00002_000"), file(dir, "ckpt-0/tensor00005_000"), file(dir, "ckpt-0/x")
			return firstError(os.Rename(a, x), os.Rename(b, a), os.Rename(x, b))
		}, "tensors"},
		"another tokenizer": {func(t *testing.T, dir string) error {
			raw, err := os.ReadFile("../model/demo/tokenizer.model")
			if err != nil {
				t.Fatal(err)
			}
			return os.WriteFile(file(dir, "tokenizer.model"), raw, 0o644)
		}, "tokenizer"},
		"not a number": {func(t *testing.T, dir string) error {
			headers, err := ckpt.Scan(t.Context(), os.DirFS(dir), ckpt.Options{})
			if err != nil {
				return err
			}
			f, err := os.OpenFile(file(dir, headers[1].File), os.O_WRONLY, 0) // the last norm
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0, 0, 0xc0, 0x7f}, headers[1].Offset+8)
			return firstError(err, f.Close())
		}, "values"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := makeTiny(t)
			if err := c.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			o := troupe(t, "", "inspect", "--json", "-m", dir)
			var i inspection
			if err := json.Unmarshal([]byte(o.out), &i); err != nil {
				t.Fatal(err)
			}
			for _, x := range i.Checks {
				if (x.Result == "failed") != (x.Name == c.check) {
					t.Errorf("check %s %s: %s", x.Name, x.Result, x.Detail)
				}
			}
			if o.code != exitFailed {
				t.Errorf("exit %d", o.code)
			}
			if o := troupe(t, "", "run", "-q", "-m", dir, "--tokens", "1"); o.code != exitFailed {
				t.Errorf("run: exit %d: %s", o.code, o.err)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
