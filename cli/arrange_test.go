package main

import (
	"slices"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	app := newProgram(&interrupts{}, nil, nil, nil).app()
	for in, want := range map[string]string{
		"":                                 "",
		"run":                              "run",
		"run x":                            "run -- x",
		"run x --seed 3":                   "run --seed 3 -- x",
		"run x --seed=3 --quiet":           "--quiet run --seed=3 -- x",
		"run -q x -m d y":                  "-q run -m d -- x y",
		"run --json x":                     "run --json -- x",
		"run --temperature -1 x":           "run --temperature -1 -- x",
		"run -- --seed 3":                  "run -- --seed 3",
		"run x -- -y":                      "run -- x -y",
		"run run":                          "run -- run",
		"run - x":                          "run -- - x",
		"run --no-such x":                  "run --no-such -- x",
		"run x --seed":                     "run --seed",
		"run x --help":                     "run --help",
		"run -m d -h x":                    "run -m d --help",
		"--log-level debug run x":          "--log-level debug run -- x",
		"kernels list --json":              "kernels list --json",
		"kernels --json list":              "kernels --json list",
		"what run":                         "-- what run",
		"run --generate-bash-completion":   "run --generate-bash-completion",
		"run x --generate-bash-completion": "run x --generate-bash-completion",
	} {
		got := arrange(app, append([]string{"troupe"}, strings.Fields(in)...))
		if !slices.Equal(got[1:], strings.Fields(want)) {
			t.Errorf("%q: got %q, want %q", in, got[1:], want)
		}
	}
}
