//go:build !cgo || (!linux && !darwin)

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "cabi: built without cgo, which loads shared objects: build it on Linux or macOS with a C compiler, CGO_ENABLED=1 go build -o bin/plugins/ ./plugins/cabi")
	os.Exit(1)
}
