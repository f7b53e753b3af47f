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
	"troupe/plugins/internal/wire"
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

// reference is the plugin's variant that the modes are of, without asking for it: some modes do not answer.
func reference(c Config) kernels.Variant {
	c.Path = testPlugin
	d := Description{Name: "testplugin", Variants: []VariantInfo{{Info: kernels.Info{Name: "ref"}, Score: 1}}}
	return d.Lent(c)[0]
}

// A library keeps its promise when it is lent: one with threads of its own, and the plainest; and where calls wait for
// each other by socket instead of futex.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute")
	}
	c := Config{Deadline: time.Minute}
	t.Run("generic", func(t *testing.T) { kerneltest.Run(t, lent(t, c, "plugin:testplugin/cpu/generic").Open) })
	t.Run("ref", func(t *testing.T) {
		judge(t, kerneltest.Suite{Open: lent(t, c, "plugin:testplugin/ref").Open, Threads: []int{1}})
	})
	t.Run("socket", func(t *testing.T) {
		t.Setenv(wire.BellKey, wire.BellSocket)
		judge(t, kerneltest.Suite{Open: lent(t, c, "plugin:testplugin/cpu/generic").Open, Threads: []int{2}, Ops: []kernels.Op{kernels.RoPE, kernels.Attend}})
	})
}

func judge(t *testing.T, s kerneltest.Suite) {
	t.Helper()
	report, err := s.Judge(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !report.Kept() || report.Restarts > 0 {
		t.Errorf("%d restarts, missing %v, %+v", report.Restarts, report.Missing(), report.Findings)
	}
}
