//go:build cgo && (linux || darwin)

package main

// #include "bridge.h"
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"troupe/kernels"
)

// newSegment writes a segment as C sees it. Nothing of a weight but its description is copied.
func newSegment(m *memory, s kernels.Segment) (*C.troupe_segment, error) {
	calls := many[C.troupe_call](m, len(s.Calls))
	for i := range s.Calls {
		if err := setCall(m, &calls[i], &s.Calls[i]); err != nil {
			return nil, err
		}
	}
	out := one[C.troupe_segment](m)
	out.arith, out.num_calls, out.calls = C.uint32_t(s.Arith), C.uint32_t(len(calls)), unsafe.SliceData(calls)
	return out, nil
}

func setCall(m *memory, out *C.troupe_call, c *kernels.Call) error {
	out.op, out.layer = C.uint32_t(c.Op), C.int32_t(c.Layer)
	out.num_in, out.num_out, out.num_weights = C.uint32_t(len(c.In)), C.uint32_t(len(c.Out)), C.uint32_t(len(c.Weights))
	out.in, out.out = slots(m, c.In), slots(m, c.Out)
	out.heads, out.kv_heads, out.key_size = C.uint32_t(c.Heads), C.uint32_t(c.KVHeads), C.uint32_t(c.KeySize)
	out.multiplier, out.cap, out.eps = C.float(c.Multiplier), C.float(c.Cap), C.float(c.Eps)
	if r := c.Rope; r != nil {
		if c.KeySize < 2 || len(r.Sin) != len(r.Cos) {
			return fmt.Errorf("compile: %v: %d cosines and %d sines for keys of %d: want as many of both", c.Op, len(r.Cos), len(r.Sin), c.KeySize)
		}
		out.cos, out.sin = loose(pinned(m, r.Cos)), loose(pinned(m, r.Sin))
		out.positions = C.uint64_t(len(r.Cos) / (c.KeySize / 2))
	}
	weights := many[C.troupe_weight](m, len(c.Weights))
	for i, w := range c.Weights {
		if err := w.Check(); err != nil {
			return err
		}
		setWeight(m, &weights[i], w)
	}
	out.weights = unsafe.SliceData(weights)
	return nil
}

func setWeight(m *memory, out *C.troupe_weight, w *kernels.Weight) {
	out.name = m.text(w.Name)
	out.in, out.out, out.groups = C.uint64_t(w.In), C.uint64_t(w.Out), C.uint64_t(w.Groups)
	switch {
	case w.Panels:
		out.layout = C.TROUPE_PANELS
	case w.Quantised():
		out.layout = C.TROUPE_ROWS
	case w.ByOutput:
		out.layout = C.TROUPE_FLOAT_BY_OUTPUT
	default:
		out.layout = C.TROUPE_FLOAT
	}
	if w.Quantised() {
		out.q, out.scales = (*C.int8_t)(pinned(m, w.Q)), loose(pinned(m, w.Scales))
	} else {
		out.f = loose(pinned(m, w.F))
	}
}

func loose(p unsafe.Pointer) *C.troupe_loose_float { return (*C.troupe_loose_float)(p) }

func slots(m *memory, s []kernels.Slot) *C.uint8_t {
	out := many[C.uint8_t](m, len(s))
	for i, slot := range s {
		out[i] = C.uint8_t(slot)
	}
	return unsafe.SliceData(out)
}

// attends lists the layers whose part of the KV cache the segment uses.
func attends(s kernels.Segment) (layers []int) {
	for _, c := range s.Calls {
		if c.Op == kernels.Attend && !slices.Contains(layers, c.Layer) {
			layers = append(layers, c.Layer)
		}
	}
	return layers
}
