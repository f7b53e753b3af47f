// Program cpu lends the fast kernels of kernels/cpu as a plugin, a variant for each that the machine can run:
// plugin:cpu/avx2 and so on, the best of them as plugin:cpu. The engine has them built in; from here they show what
// lending costs, and they go on when a kernel brings its process down.
package main

import (
	"strings"

	"troupe/kernels"
	_ "troupe/kernels/cpu" // registers the variants
	"troupe/plugins"
)

func main() { plugins.Serve(variants()...) }

// variants are those of kernels/cpu, best first, under the names that they have within this plugin.
func variants() (all []kernels.Variant) {
	for _, v := range kernels.Variants() {
		if name, ok := strings.CutPrefix(v.Name, "cpu/"); ok {
			v.Name = name
			all = append(all, v)
		}
	}
	return all
}
