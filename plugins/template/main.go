// Program template is a kernel plugin to copy: one op in plain Go, the test that judges it, and nothing else.
// docs/plugins.md goes through it step by step.
package main

import (
	"troupe/kernels"
	"troupe/plugins"
)

// main lends the variants and does not return. The name under which the engine knows them is that of the program's
// file: bin/plugins/template is plugin:template.
func main() { plugins.Serve(variant) }

// variant is what the engine sees before it opens anything. A plugin may have several, for instance one for each
// instruction set; the one that has the program's own name is the plugin's default.
var variant = kernels.Variant{
	Name: "template",
	Doc:  "rmsnorm in plain Go, to copy",
	// Score asks whether this machine can run it, and how well: 0 is no, and Needs says in words what is missing. A
	// plugin is never chosen for its score alone: a binding has to name it.
	Score: func() int { return 1 },
	Open:  func(t kernels.Threads) (kernels.Library, error) { return &library{threads: t}, nil },
}
