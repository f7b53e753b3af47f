// Program reference lends kernels/ref, the definition of every op, as a plugin: the shortest one there can be, and a
// library to compare others with on live traffic.
package main

import (
	"fmt"
	"os"

	"troupe/kernels"
	_ "troupe/kernels/ref" // registers the variant
	"troupe/plugins"
)

func main() {
	v, err := kernels.Find("ref")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	v.Name = "reference" // that of the plugin, so the engine calls it plugin:reference
	plugins.Serve(v)
}
