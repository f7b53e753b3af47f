//go:build cgo && (linux || darwin)

package main

import (
	"fmt"
	"os"

	"troupe/plugins"
)

func main() {
	if len(os.Args) < 2 {
		stop(fmt.Errorf("cabi: no library: want a shared object as the argument, as in cabi ./expert.so"))
	}
	object, err := load(os.Args[1])
	if err != nil {
		stop(err)
	}
	plugins.ServeAs(object.info.Name, object.variant())
}

func stop(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
