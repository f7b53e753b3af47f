package plugins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

// testPlugin is the plugin of testdata, built once.
var testPlugin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// pluginPath in the environment is the plugin of a test that has started this one.
const pluginPath = "TROUPE_TEST_PLUGIN"

func run(m *testing.M) int {
	if testPlugin = os.Getenv(pluginPath); testPlugin != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "troupe-plugins")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	testPlugin = filepath.Join(dir, "testplugin")
	if out, err := exec.Command("go", "build", "-o", testPlugin, "./testdata/plugin").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// lent is a variant of the test plugin.
func lent(t testing.TB, c Config, name string) kernels.Variant {
	t.Helper()
	c.Path = testPlugin
	variants, err := Variants(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variants {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no variant %s: %v", name, variants)
	return kernels.Variant{}
}

// A library keeps its promise when it is lent.
func TestConformance(t *testing.T) {
	for _, name := range []string{"plugin:testplugin/ref", "plugin:testplugin/cpu/generic"} {
		t.Run(name, func(t *testing.T) {
			kerneltest.Run(t, lent(t, Config{Deadline: time.Minute}, name).Open)
		})
	}
}
