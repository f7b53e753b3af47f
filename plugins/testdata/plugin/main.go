// Command plugin lends the built-in kernels, for tests; with a mode as its argument it misbehaves in some way.
package main

import (
	"os"

	"troupe/kernels"
	_ "troupe/kernels/cpu"
	_ "troupe/kernels/ref"
	"troupe/plugins"
)

func main() {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	if f := beforeHandshake[mode]; f != nil {
		f()
	}
	variants := kernels.Variants()
	for i := range variants {
		variants[i] = spoil(variants[i], mode)
	}
	plugins.Serve(variants...)
}
