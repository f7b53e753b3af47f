//go:build cgo && (linux || darwin)

package main

/*
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"troupe/kernels"
)

// failure is the memory in which C says what went wrong.
type failure struct{ c *C.troupe_error }

func newFailure(m *memory) failure { return failure{one[C.troupe_error](m)} }

// error makes an error of what a function returned, and clears the text for the next one.
func (f failure) error(function string, code C.int) error {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&f.c.text)), len(f.c.text))
	said, _, _ := strings.Cut(string(bytes), "\x00")
	said = strings.Join(strings.Fields(strings.ToValidUTF8(said, "?")), " ") // one line
	clear(bytes)
	if said == "" {
		said = "no reason given"
	}
	if code == C.TROUPE_NO_KERNEL {
		return fmt.Errorf("%s: %s: %w", function, said, kernels.ErrNoKernel)
	}
	return fmt.Errorf("%s: returned %d: %s", function, code, said)
}
