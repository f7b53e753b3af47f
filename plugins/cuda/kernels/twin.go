//go:build cudacpu && cgo

package kernels

// #cgo CXXFLAGS: -std=c++17 -O2 -Wall -Wno-unknown-pragmas
// #include <stdbool.h>
// #include <stdint.h>
// #include <stdlib.h>
// #include <string.h>
// int twinCount(void);
// int twinFind(const char *name);
// int twinParams(int kernel);
// const char *twinLaunch(int kernel, unsigned *grid, unsigned *block, uint64_t *params, bool reverse);
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Malloc returns n bytes outside the Go heap with nothing behind them, as a GPU's memory is: an address sanitizer sees a
// kernel that goes too far. What is there at first has the bits of NaN.
func Malloc(n int) unsafe.Pointer {
	p := C.malloc(C.size_t(n))
	return C.memset(p, 0xff, C.size_t(n))
}

// Free gives memory of Malloc back.
func Free(p unsafe.Pointer) { C.free(p) }

// Grid is how many blocks there are, or threads in a block.
type Grid struct{ X, Y, Z int }

func (g Grid) c() [3]C.uint { return [3]C.uint{C.uint(g.X), C.uint(g.Y), C.uint(g.Z)} }

func find(name string) C.int {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.twinFind(text)
}

// Params is the number of a kernel's parameters, 0 if there is no such kernel.
func Params(name string) int {
	if kernel := find(name); kernel >= 0 {
		return int(C.twinParams(kernel))
	}
	return 0
}

// Count is the number of kernels.
func Count() int { return int(C.twinCount()) }

// Launch runs a kernel on the calling thread. Parameters are pointers of Malloc (nil: 0), int or float64. With
// reverse the threads of a block run last to first. A misuse of CUDA inside the kernel ends the process.
func Launch(name string, grid, block Grid, reverse bool, params ...any) error {
	kernel := find(name)
	if kernel < 0 {
		return fmt.Errorf("twin: kernel %q unknown", name)
	}
	if n := int(C.twinParams(kernel)); n != len(params) {
		return fmt.Errorf("twin: %s: %d parameters, want %d", name, len(params), n)
	}
	words := make([]C.uint64_t, len(params))
	for i, p := range params {
		switch p := p.(type) {
		case unsafe.Pointer:
			words[i] = C.uint64_t(uintptr(p))
		case int:
			words[i] = C.uint64_t(p)
		case float64:
			words[i] = C.uint64_t(math.Float64bits(p))
		default:
			return fmt.Errorf("twin: %s: parameter %d is a %T, want unsafe.Pointer, int or float64", name, i, p)
		}
	}
	g, b := grid.c(), block.c()
	if why := C.twinLaunch(kernel, &g[0], &b[0], unsafe.SliceData(words), C.bool(reverse)); why != nil {
		return fmt.Errorf("twin: %s: %s", name, C.GoString(why))
	}
	return nil
}
