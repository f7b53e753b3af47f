//go:build cuda && cgo && linux && (amd64 || arm64)

// Package cuext has what gorgonia.org/cu lacks of the CUDA driver: page-locked memory, and errors with their number,
// name and text.
package cuext

// #include <cuda.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// Error is an error of the driver with its name and text.
type Error struct {
	Code int // in cuda.h
	text string
}

func (e *Error) Error() string { return e.text }

// Code is an error's number in cuda.h, or 0 for errors that the driver did not give.
func Code(err error) int {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	// cu's type of results is not exported.
	if v := reflect.ValueOf(err); v.IsValid() && v.Kind() == reflect.Int && v.Type().PkgPath() == "gorgonia.org/cu" {
		return int(v.Int())
	}
	return 0
}

// Explain gives an error of cu its name and the driver's own words for it; other errors are returned as they are.
func Explain(err error) error {
	if code := Code(err); code != 0 {
		return explain(code)
	}
	return err
}

func explain(code int) *Error {
	var name, text *C.char
	e := &Error{Code: code, text: fmt.Sprintf("CUDA error %d", code)}
	if C.cuGetErrorName(C.CUresult(code), &name) == 0 && C.cuGetErrorString(C.CUresult(code), &text) == 0 {
		e.text = fmt.Sprintf("%s (%d): %s", C.GoString(name), code, C.GoString(text))
	}
	return e
}

// Pinned returns n bytes of page-locked memory, which the GPU reads and writes while the program goes on. It needs a
// current context.
func Pinned(n int) ([]byte, error) {
	var p unsafe.Pointer
	if r := C.cuMemHostAlloc(&p, C.size_t(n), 0); r != 0 {
		return nil, explain(int(r))
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// FreePinned gives memory of Pinned back, none if it is empty.
func FreePinned(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if r := C.cuMemFreeHost(unsafe.Pointer(unsafe.SliceData(b))); r != 0 {
		return explain(int(r))
	}
	return nil
}
