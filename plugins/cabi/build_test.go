//go:build cgo && (linux || darwin)

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troupe/kernels"
)

// build compiles a library; the flags are those that docs/plugins.md gives, but for the machine's own instructions.
func build(t testing.TB, source string, flags ...string) string {
	t.Helper()
	cc := "cc"
	if name := os.Getenv("CC"); name != "" {
		cc = name
	}
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("a C compiler is needed to build %s: %v", source, err)
	}
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(source), ".c")+".so")
	args := append([]string{"-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC", "-I.", "-o", out, source, "-lm"}, flags...)
	if text, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", source, err, text)
	}
	return out
}

// buildRust compiles a library in Rust.
func buildRust(t testing.TB, source string) string {
	t.Helper()
	if _, err := exec.LookPath("rustc"); err != nil {
		t.Skipf("rustc is needed to build %s: %v", source, err)
	}
	out := filepath.Join(t.TempDir(), "rust.so")
	cmd := exec.Command("rustc", "-O", "--edition", "2021", "--crate-type", "cdylib", "-C", "panic=abort", "-o", out, source)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", source, err, text)
	}
	return out
}

func mustLoad(t testing.TB, path string) *object {
	t.Helper()
	o, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t testing.TB, o *object, threads int) kernels.Library {
	t.Helper()
	lib, err := o.open(kernels.SameThreads(threads))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lib.Close(); err != nil {
			t.Error(err)
		}
	})
	return lib
}
