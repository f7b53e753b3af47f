//go:build cgo && (linux || darwin)

package main

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"troupe/kernels"
)

// object is a shared object that has been loaded and asked what it is. It stays loaded: what runs at unloading is
// another library's matter, and nothing here needs it.
type object struct {
	path   string
	mem    memory
	f      *C.troupe_functions
	info   kernels.Info
	needs  string
	score  int
	panels bool
}

// load opens a shared object and checks all that it says of itself.
func load(path string) (*object, error) {
	full, err := filepath.Abs(path) // a bare name would be looked for among the system's libraries
	if err != nil {
		return nil, fmt.Errorf("cabi: %s: %w", path, err)
	}
	name := C.CString(full)
	defer C.free(unsafe.Pointer(name))
	handle := C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL)
	if handle == nil {
		return nil, fmt.Errorf("cabi: load %s: %s: want a shared object for this machine", path, C.GoString(C.dlerror()))
	}
	o := &object{path: path}
	o.f = one[C.troupe_functions](&o.mem)
	if err = o.resolve(handle); err == nil {
		err = o.describe()
	}
	if err != nil {
		o.mem.free()
		C.dlclose(handle)
		return nil, fmt.Errorf("cabi: %s: %w", path, err)
	}
	return o, nil
}

// resolve finds the functions and compares versions.
func (o *object) resolve(handle unsafe.Pointer) error {
	var missing []string
	for _, s := range []struct {
		name string
		at   unsafe.Pointer
	}{
		{"troupe_abi", unsafe.Pointer(&o.f.abi)}, {"troupe_describe", unsafe.Pointer(&o.f.describe)},
		{"troupe_open", unsafe.Pointer(&o.f.open)}, {"troupe_compile", unsafe.Pointer(&o.f.compile)},
		{"troupe_run", unsafe.Pointer(&o.f.run)}, {"troupe_free", unsafe.Pointer(&o.f.free)}, {"troupe_close", unsafe.Pointer(&o.f.close)},
	} {
		name := C.CString(s.name)
		f := C.dlsym(handle, name)
		C.free(unsafe.Pointer(name))
		if f == nil {
			missing = append(missing, s.name)
		}
		*(*unsafe.Pointer)(s.at) = f
	}
	if len(missing) > 0 {
		return fmt.Errorf("function %s missing: want those at the end of troupe_kernel.h, exported", strings.Join(missing, ", "))
	}
	if got := C.call_abi(o.f); got != C.TROUPE_ABI {
		return fmt.Errorf("made for version %d of troupe_kernel.h, want %d: build it with the header of this program", got, C.TROUPE_ABI)
	}
	return nil
}

// describe asks the library what it is.
func (o *object) describe() error {
	var m memory
	defer m.free()
	info, e := one[C.troupe_info](&m), newFailure(&m)
	if code := C.call_describe(o.f, info, e.c); code != C.TROUPE_OK {
		return e.error("troupe_describe", code)
	}
	var errs [4]error
	var needs string
	o.info.Name, errs[0] = text("name", info.name, true)
	o.info.Doc, errs[1] = text("doc", info.doc, true)
	o.info.Version, errs[2] = text("version", info.version, true)
	needs, errs[3] = text("needs", info.needs, false)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("troupe_describe: %w", err)
	}
	switch {
	case strings.ContainsAny(o.info.Name, " =,@/:"):
		return fmt.Errorf("troupe_describe: name %q: none of %q may be in it", o.info.Name, " =,@/:")
	case info.promise != C.TROUPE_IDENTICAL && info.promise != C.TROUPE_CLOSE:
		return fmt.Errorf("troupe_describe: promise %d, want TROUPE_IDENTICAL or TROUPE_CLOSE", info.promise)
	case info.num_ops == 0 || info.num_ops > C.TROUPE_NUM_OPS || info.ops == nil:
		return fmt.Errorf("troupe_describe: %d ops, want 1 to %d", info.num_ops, C.TROUPE_NUM_OPS)
	case info.score > maxScore:
		return fmt.Errorf("troupe_describe: score %d, want 0 to %d", info.score, maxScore)
	}
	for _, op := range unsafe.Slice(info.ops, info.num_ops) {
		if op >= C.TROUPE_NUM_OPS || slices.Contains(o.info.Ops, kernels.Op(op)) {
			return fmt.Errorf("troupe_describe: op %d unknown or listed twice", op)
		}
		o.info.Ops = append(o.info.Ops, kernels.Op(op))
	}
	o.info.Promise = kernels.Identical
	if info.promise == C.TROUPE_CLOSE {
		o.info.Promise = kernels.Close
	}
	o.needs, o.score, o.panels = needs, int(info.score), info.wants_panels != 0
	return nil
}

const (
	maxText  = 200 // bytes of a string that a library says of itself
	maxScore = 1_000_000
)

// text copies a string of the library, of one line and bounded.
func text(what string, s *C.char, wanted bool) (string, error) {
	if s == nil {
		if wanted {
			return "", fmt.Errorf("no %s", what)
		}
		return "", nil
	}
	n := int(C.strnlen(s, maxText+1))
	if n > maxText {
		return "", fmt.Errorf("%s: more than %d bytes", what, maxText)
	}
	t := C.GoStringN(s, C.int(n))
	if !utf8.ValidString(t) || strings.ContainsFunc(t, func(r rune) bool { return !unicode.IsPrint(r) }) || wanted && t == "" {
		return "", fmt.Errorf("%s: %q, want printable UTF-8 of one line", what, t)
	}
	return t, nil
}

// variant is the library as the engine sees it.
func (o *object) variant() kernels.Variant {
	return kernels.Variant{
		Name: o.info.Name, Doc: o.info.Doc, Needs: o.needs, Panels: o.panels,
		Score: func() int { return o.score },
		Open:  func(t kernels.Threads) (kernels.Library, error) { return o.open(t) },
	}
}

// The numbers of the header are those of package kernels: any other index than 0 does not compile.
var _ = [1]struct{}{}[(C.TROUPE_EMBED-int(kernels.Embed))|(C.TROUPE_RMSNORM-int(kernels.RMSNorm))|
	(C.TROUPE_LINEAR-int(kernels.Linear))|(C.TROUPE_ROPE-int(kernels.RoPE))|(C.TROUPE_ATTEND-int(kernels.Attend))|
	(C.TROUPE_ROUTE-int(kernels.Route))|(C.TROUPE_EXPERT-int(kernels.Expert))|(C.TROUPE_COMBINE-int(kernels.Combine))|
	(C.TROUPE_ADD-int(kernels.Add))|(C.TROUPE_HEAD-int(kernels.Head))|(C.TROUPE_NUM_OPS-int(kernels.NumOps))|
	(C.TROUPE_INT8-int(kernels.Int8))|(C.TROUPE_EXACT-int(kernels.Exact))|(C.TROUPE_REFERENCE-int(kernels.Reference))|
	(C.TROUPE_BLOCK_ROWS-kernels.BlockRows)|(C.TROUPE_BLOCK_KEYS-kernels.BlockKeys)|(C.TROUPE_LANES-kernels.Lanes)|
	(C.TROUPE_BLOCK_TOKENS-kernels.BlockTokens)|(C.TROUPE_PANEL_OUTPUTS-kernels.PanelOutputs)|
	(C.TROUPE_LINE_INPUTS-kernels.LineInputs)|(C.TROUPE_LINE_BYTES-kernels.LineBytes)|(C.TROUPE_DECODE_ROWS-kernels.DecodeRows)]
