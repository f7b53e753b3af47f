package kerneltest

import (
	"fmt"
	"math"
	"reflect"

	"troupe/kernels"
)

// differ compares an output with what it should be; a bound of 0 asks for equal bits.
func differ(got, want []float32, bound float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(want))
	}
	if d, ok := kernels.Compare(got, want, bound); !ok {
		return fmt.Errorf("element %d: %v (%#08x), want %v (%#08x)", d.Element, d.Got, math.Float32bits(d.Got), d.Want, math.Float32bits(d.Want))
	}
	return nil
}

// compareOutputs compares everything that calls may write.
func compareOutputs(got, want *setup, bound float64) error {
	for slot := range got.written() {
		if err := differ(got.frame.Bufs[slot], want.frame.Bufs[slot], bound); err != nil {
			return fmt.Errorf("output %d of width %d: %w", slot, got.widths[slot], err)
		}
	}
	if got.frame.Cache == nil {
		return nil
	}
	for i, l := range got.frame.Cache.Layers {
		if err := compareCache(l, want.frame.Cache.Layers[i]); err != nil {
			return fmt.Errorf("cache of layer %d: %w", i, err)
		}
	}
	return nil
}

// worstDifference is how far outputs are from what they should be, relative to the largest magnitude of each.
func worstDifference(got, want *setup) (worst float64) {
	for slot := range got.written() {
		d, _ := kernels.Compare(got.frame.Bufs[slot], want.frame.Bufs[slot], 0)
		worst = max(worst, d.Relative)
	}
	return worst
}

// compareCache asks for equal bits whatever the promise: keys and values are copied, or rounded once.
func compareCache(got, want kernels.CacheLayer) error {
	if err := differ(got.K32, want.K32, 0); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := differ(got.V32, want.V32, 0); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	for i := range got.K16 {
		if got.K16[i] != want.K16[i] {
			return fmt.Errorf("keys: element %d: %#04x, want %#04x", i, got.K16[i], want.K16[i])
		}
	}
	for i := range got.V16 {
		if got.V16[i] != want.V16[i] {
			return fmt.Errorf("values: element %d: %#04x, want %#04x", i, got.V16[i], want.V16[i])
		}
	}
	return nil
}

// checkInputs checks that nothing but outputs and cache was written (M1). The other setup's rows, pairs
// and work are as they were made.
func checkInputs(got, want *setup) error {
	a, b := &got.frame, &want.frame
	if !reflect.DeepEqual(a.Rows, b.Rows) || !reflect.DeepEqual(a.Pairs, b.Pairs) || !reflect.DeepEqual(a.Work, b.Work) {
		return fmt.Errorf("the frame's rows, pairs or work were written")
	}
	return got.mem.check()
}
