//go:build !cgo || (!linux && !darwin)

package main

import "testing"

func TestLibraries(t *testing.T) {
	t.Skip("loading shared objects needs cgo, so a C compiler, on Linux or macOS")
}
