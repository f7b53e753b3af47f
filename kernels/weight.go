package kernels

import "fmt"

// Weight is a matrix, or a vector with In = 1, as kernels read it: in the checkpoint's own layout, in
// place. It is never written. Either Q or F is set.
type Weight struct {
	Name    string
	In, Out int
	Q       []int8    // [In Out], int8 values
	Scales  []float32 // [Groups Out], each valid for In/Groups rows of Q
	Groups  int
	F       []float32 // [In Out]; [Out In] when ByOutput
	// ByOutput tells that F is stored output by output, as the embedding is: [V D] for the head.
	ByOutput bool
}

// Quantised reports whether the weight is int8 with scales.
func (w *Weight) Quantised() bool { return w.Q != nil }

// Check reports whether the slices have the lengths that the shape demands.
func (w *Weight) Check() error {
	n := w.In * w.Out
	switch {
	case w.In <= 0 || w.Out <= 0:
		return fmt.Errorf("kernels: %s: shape [%d %d]: want positive dimensions", w.Name, w.In, w.Out)
	case w.Quantised() && w.F != nil:
		return fmt.Errorf("kernels: %s: both int8 and float32 values", w.Name)
	case !w.Quantised():
		if len(w.F) != n {
			return fmt.Errorf("kernels: %s: %d values, want %d", w.Name, len(w.F), n)
		}
	case len(w.Q) != n:
		return fmt.Errorf("kernels: %s: %d values, want %d", w.Name, len(w.Q), n)
	case w.Groups <= 0 || w.In%w.Groups != 0:
		return fmt.Errorf("kernels: %s: %d scale groups over %d rows: want a divisor", w.Name, w.Groups, w.In)
	case len(w.Scales) != w.Groups*w.Out:
		return fmt.Errorf("kernels: %s: %d scales, want %d", w.Name, len(w.Scales), w.Groups*w.Out)
	}
	return nil
}
