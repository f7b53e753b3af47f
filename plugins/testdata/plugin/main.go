// Command plugin lends the built-in kernels, for tests; with a mode in its variable it misbehaves in some way.
package main

import (
	"os"

	"troupe/kernels"
	_ "troupe/kernels/cpu"
	_ "troupe/kernels/ref"
	"troupe/plugins"
)

func main() {
	mode := os.Getenv("TROUPE_TEST_MODE")
	before(mode)
	variants := kernels.Variants()
	for i := range variants {
		variants[i] = spoil(variants[i], mode)
	}
	plugins.Serve(variants...)
}
