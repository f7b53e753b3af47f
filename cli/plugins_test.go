package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"troupe/kernels"
	"troupe/plugins"
)

// builtPlugins is a directory with the plugins reference and template; buildPlugins builds them, once.
var (
	builtPlugins string
	buildPlugins = sync.OnceValue(func() (err error) {
		if builtPlugins, err = os.MkdirTemp("", "plugins"); err != nil {
			return err
		}
		out, err := exec.Command("go", "build", "-o", builtPlugins+string(filepath.Separator), "../plugins/reference", "../plugins/template").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if builtPlugins != "" {
		os.RemoveAll(builtPlugins)
	}
	if programWanted {
		if path, err := builtProgram(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// pluginDir is the directory of built plugins, with a file that is none.
func pluginDir(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("plugins need Linux or macOS")
	}
	if err := buildPlugins(); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(builtPlugins, "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return builtPlugins
}

// TestPluginsListed: what plugins have is listed, and what is none with the reason.
func TestPluginsListed(t *testing.T) {
	long(t)
	dir := pluginDir(t)
	t.Setenv("TROUPE_PLUGINS", dir)
	var list []libraryReport
	if err := json.Unmarshal([]byte(troupe(t, "", "kernels", "list", "--json").ok(t).out), &list); err != nil {
		t.Fatal(err)
	}
	find := func(name, file string) libraryReport {
		i := slices.IndexFunc(list, func(r libraryReport) bool { return r.Name == name && filepath.Base(r.Path) == file })
		if i < 0 {
			t.Fatalf("no %s of %s: %+v", name, file, list)
		}
		return list[i]
	}
	if r := find("plugin:reference", "reference"); r.Score != 1 || len(r.Ops) != 10 || r.Promise != "identical" || r.Version == "" || r.Error != "" {
		t.Errorf("%+v", r)
	}
	if r := find("plugin:template", "template"); len(r.Ops) != 1 {
		t.Errorf("%+v", r)
	}
	if r := find("", "broken"); !strings.Contains(r.Error, "broken") || r.Score != 0 {
		t.Errorf("%+v", r)
	}
	o := troupe(t, "", "kernels", "list").ok(t)
	if !strings.Contains(o.out, "\nplugin:template ") || !strings.Contains(o.out, "\nnot usable: plugins: ") || o.err != "" {
		t.Errorf("%s%s", o.out, o.err)
	}
}

// TestPluginsJudged: a plugin is judged by its name and by its file.
func TestPluginsJudged(t *testing.T) {
	long(t)
	dir := pluginDir(t)
	for _, args := range [][]string{{"plugin:template", "--plugin", dir}, {filepath.Join(dir, "template")}} {
		o := troupe(t, "", append([]string{"kernels", "test", "--op", "rmsnorm", "--threads", "1"}, args...)...).ok(t)
		if !strings.HasPrefix(o.out, "plugin:template ") || !strings.Contains(o.out, "  kept\n") {
			t.Errorf("%v: %s", args, o.out)
		}
	}
	var r libraryBench
	o := troupe(t, "", "kernels", "bench", filepath.Join(dir, "template"), "--op", "rmsnorm,rope", "--in", "64", "--reps", "1", "--threads", "1",
		"--kernels", "ref,plugin:reference", "--plugin", dir, "--context", "8", "--heads", "1", "--kv-heads", "1", "--key-size", "8", "--json")
	if err := json.Unmarshal([]byte(o.ok(t).out), &r); err != nil || len(r.Without) != 1 || len(r.Ops) != 2 || len(r.Ops[0].Results) != 3 {
		t.Errorf("%v: %s", err, o.out)
	}
}

// TestPluginsSwapped: plugins come and go while a text is made, and the text is the same. One that is named by
// --kernels serves from the start.
func TestPluginsSwapped(t *testing.T) {
	long(t)
	dir := pluginDir(t)
	plain := troupe(t, "", "run", "-q", "--temperature", "0", "--arith", "exact", "--ignore-eos", "--max-tokens", "60", "Tale: The Lost Lantern").ok(t).out
	o, events := swapped(t, "--max-tokens", "60", "--plugin", dir, "--kernels", "rmsnorm=plugin:template",
		"--swap", "token=3 expert=plugin:reference shadow=1", "--swap", "token=20 cpu shadow=1")
	if o.ok(t); o.out != plain {
		t.Errorf("%q, want %q", o.out, plain)
	}
	promoted := 0
	for _, e := range events {
		if e.Step == "promote" {
			promoted++
		}
	}
	if promoted != 2 || slices.Contains(steps(events), "rollback") {
		t.Errorf("%v: %s", steps(events), o.err)
	}
}

// TestPluginsTrusted: with a list of checksums nothing else is started.
func TestPluginsTrusted(t *testing.T) {
	long(t)
	dir := pluginDir(t)
	raw, err := os.ReadFile(filepath.Join(dir, "template"))
	if err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(t.TempDir(), "sums")
	write := func(sum [32]byte) {
		t.Helper()
		if err := os.WriteFile(sums, fmt.Appendf(nil, "%x  %s\n", sum, filepath.Join(dir, "template")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	test := func(name string) outcome {
		return troupe(t, "", "kernels", "test", "plugin:"+name, "--op", "rmsnorm", "--arith", "exact", "--threads", "1", "--plugin", dir, "--plugin-checksums", sums)
	}
	write(sha256.Sum256(raw))
	test("template").ok(t)
	if o := test("reference"); o.code != exitFailed || !strings.Contains(o.err, "reference: not in "+sums) {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	write([32]byte{1})
	if o := test("template"); o.code != exitFailed || !strings.Contains(o.err, "its checksum is not the one expected") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// TestPluginUnknown: the error says which ones there are.
func TestPluginUnknown(t *testing.T) {
	dir := pluginDir(t)
	o := troupe(t, "", "run", "--plugin", dir, "--kernels", "expert=plugin:mine", "x")
	if o.code != exitUsage || !strings.Contains(o.err, `library "plugin:mine": no plugin has it; there are plugin:reference, plugin:template`) {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	if o := troupe(t, "", "run", "--plugin", dir, "--kernels", "expert=plugin:broken", "x"); o.code != exitUsage || !strings.Contains(o.err, filepath.Join(dir, "broken")) {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// TestPluginsComeLater: an engine that runs finds plugins that were built since it began, and those built anew.
func TestPluginsComeLater(t *testing.T) {
	built, dir := pluginDir(t), t.TempDir()
	build := func(from string) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(built, from))
		if err != nil {
			t.Fatal(err)
		}
		fresh := filepath.Join(t.TempDir(), "late")
		if err := os.WriteFile(fresh, raw, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(dir, "late")); err != nil {
			t.Fatal(err)
		}
	}
	h := &host{asked: map[string]plugins.Description{}, failed: map[string]error{}, lent: map[string]string{},
		find: func() ([]plugins.Config, []error) { return plugins.Find([]string{dir}, "") }}
	if _, err := h.binding(t.Context(), "rmsnorm=plugin:late"); err == nil || !strings.Contains(err.Error(), "no plugins found") {
		t.Errorf("%v", err)
	}
	build("broken")
	if _, err := h.binding(t.Context(), "rmsnorm=plugin:late"); err == nil || !strings.Contains(err.Error(), "no plugin of troupe") {
		t.Errorf("%v", err)
	}
	for _, from := range []string{"template", "reference"} {
		build(from)
		if _, err := h.binding(t.Context(), "rmsnorm=plugin:late"); err != nil {
			t.Errorf("%s: %v", from, err)
		}
		list, err := h.libraries(t.Context())
		if i := slices.IndexFunc(list, func(r libraryReport) bool { return r.Name == "plugin:late/"+from }); err != nil || i < 0 {
			t.Errorf("%s: %+v, %v", from, list, err)
		}
	}
	kernels.Return("plugin:late/template")
	kernels.Return("plugin:late/reference")
}
