package kernels

import "fmt"

// Weight is a matrix, or a vector with In = 1, as kernels read it. It is never written. Either Q or F
// is set.
type Weight struct {
	Name    string
	In, Out int
	Q       []int8    // int8 values [In Out], as xAI's checkpoints have them, or in panels
	Panels  bool      // Q is in panels (panel.go), the order in which kernels read it
	Scales  []float32 // [Groups Out], each valid for In/Groups rows of Q
	Groups  int
	F       []float32 // [In Out]; [Out In] when ByOutput
	// ByOutput tells that F is stored output by output, as the embedding is: [V D] for the head.
	ByOutput bool
}

// Quantised reports whether the weight is int8 with scales.
func (w *Weight) Quantised() bool { return w.Q != nil }

// At is the int8 value of input k for output o.
func (w *Weight) At(k, o int) int8 {
	if !w.Panels {
		return w.Q[k*w.Out+o]
	}
	per, lines := w.In/w.Groups, GroupLines(w.In, w.Groups)
	line := o/PanelOutputs*lines*w.Groups + k/per*lines + k%per/LineInputs
	return w.Q[line*LineBytes+o%PanelOutputs*LineInputs+k%per%LineInputs]
}

// Panel is the lines of panel p, in panels.
func (w *Weight) Panel(p int) []int8 {
	size := PanelLines(w.In, w.Groups) * LineBytes
	return w.Q[p*size : (p+1)*size : (p+1)*size]
}

// Check reports whether the slices have the lengths that the shape demands.
func (w *Weight) Check() error {
	n := w.In * w.Out
	switch {
	case w.In <= 0 || w.Out <= 0:
		return fmt.Errorf("kernels: %s: shape [%d %d]: want positive dimensions", w.Name, w.In, w.Out)
	case w.Quantised() && w.F != nil:
		return fmt.Errorf("kernels: %s: both int8 and float32 values", w.Name)
	case !w.Quantised():
		if len(w.F) != n || w.Panels {
			return fmt.Errorf("kernels: %s: %d float32 values, want %d, not in panels", w.Name, len(w.F), n)
		}
	case w.Groups <= 0 || w.In%w.Groups != 0:
		return fmt.Errorf("kernels: %s: %d scale groups over %d rows: want a divisor", w.Name, w.Groups, w.In)
	case w.Panels && len(w.Q) != PanelSize(w.In, w.Out, w.Groups):
		return fmt.Errorf("kernels: %s: %d bytes of panels, want %d", w.Name, len(w.Q), PanelSize(w.In, w.Out, w.Groups))
	case !w.Panels && len(w.Q) != n:
		return fmt.Errorf("kernels: %s: %d values, want %d", w.Name, len(w.Q), n)
	case len(w.Scales) != w.Groups*w.Out:
		return fmt.Errorf("kernels: %s: %d scales, want %d", w.Name, len(w.Scales), w.Groups*w.Out)
	}
	return nil
}
