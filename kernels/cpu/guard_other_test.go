//go:build !linux

package cpu

import "testing"

// guarded has no guard pages to offer here: only what is written beside an operand shows.
func guarded(_ testing.TB, size int) []byte { return make([]byte, size) }
