package load

import (
	"io"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/model"
	"troupe/tensor"
)

// moved is the number of bytes that conversions move at a time, about.
const moved = 4 << 20

// Arrays lists the arrays of a packed file of an open model, in the order in which a forward pass reads
// them; an expert's three matrices stand together. Matrices that are not in panels yet are packed as they are
// written, a few panels at a time.
func (m *Model) Arrays() []ckpt.Array {
	index := map[string]int{}
	for i, t := range m.Checkpoint.Tensors {
		index[t.Name] = i
	}
	var list []ckpt.Array
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			list = append(list, m.wholeArrays(index[name])...)
		}
	}
	short := m.Config
	short.SequenceLen = 1 // the order is wanted, not the table of rotary angles
	plan := model.NewPlan(short)
	steps := func(steps []model.Step) {
		for _, s := range steps {
			for _, name := range s.Weights {
				add(name)
			}
		}
	}
	steps(plan.Embed)
	for l := range m.Config.Model.NumLayers {
		steps(plan.Before(l))
		expert := plan.Expert(l).Weights
		for _, name := range expert {
			add(name)
		}
		for e := range m.Config.Model.NumExperts {
			for _, name := range expert {
				if t := &m.Checkpoint.Tensors[index[name]]; t.Groups > 0 {
					list = append(list, m.panelArray(index[name], e))
				}
			}
		}
		steps(plan.After(l))
	}
	steps(plan.Head)
	return list
}

// wholeArrays is a tensor without its experts' matrices: the array of a plain one; scales, and the matrix if
// there is only one.
func (m *Model) wholeArrays(i int) []ckpt.Array {
	t, shape := &m.Checkpoint.Tensors[i], m.shape(i)
	if t.Groups == 0 {
		return []ckpt.Array{{Name: t.Name, Spec: tensor.Spec{DType: t.Weight.DType, Shape: shape}, Payload: m.values(i)}}
	}
	shape[len(shape)-2] = t.Groups
	list := []ckpt.Array{{Name: ckpt.ScalesName(t.Name), Spec: tensor.Spec{DType: tensor.BF16, Shape: shape}, Payload: m.scales(i)}}
	if len(shape) == 2 {
		list = append(list, m.panelArray(i, -1))
	}
	return list
}

// panelArray is a matrix in panels; expert is -1 for one without experts.
func (m *Model) panelArray(i, expert int) ckpt.Array {
	t := &m.Checkpoint.Tensors[i]
	in, out := matrix(t)
	p := m.parts(i)[max(expert, 0)]
	return ckpt.Array{
		Name: ckpt.PanelsName(t.Name, expert), Spec: tensor.Spec{DType: tensor.I8, Shape: ckpt.PanelShape(in, out, t.Groups)},
		Payload: func(w io.Writer) error {
			if p.panels != nil {
				return m.through(i, p, p.panels, func() error { _, err := w.Write(p.panels); return err })
			}
			return m.through(i, p, p.data, func() error { return writePanels(w, tensor.Int8s(p.data), in, out, t.Groups) })
		},
	}
}

// writePanels packs a matrix [in out] and writes it.
func writePanels(w io.Writer, q []int8, in, out, groups int) error {
	const step = 16 // panels: see kernels.PackPanels
	size := kernels.PanelLines(in, groups) * kernels.LineBytes
	n := max(step, moved/size/step*step)
	buf := make([]byte, min(n, kernels.NumPanels(out))*size)
	for lo := 0; lo < kernels.NumPanels(out); lo += n {
		hi := min(lo+n, kernels.NumPanels(out))
		part := buf[:(hi-lo)*size]
		kernels.PackPanels(tensor.Int8s(part), q, in, out, groups, lo, hi)
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Sources lists the tensors of an open model as ckpt.Write takes them: the pickles of the published format.
func (m *Model) Sources() []ckpt.Source {
	var list []ckpt.Source
	for i := range m.Checkpoint.Tensors {
		t := &m.Checkpoint.Tensors[i]
		s := ckpt.Source{Name: t.Name, Spec: tensor.Spec{DType: t.Weight.DType, Shape: m.shape(i)}, Groups: t.Groups, ScaleFlags: t.ScaleFlags, Payload: m.values(i)}
		if t.Groups > 0 {
			s.Scales = m.scales(i)
		}
		list = append(list, s)
	}
	return list
}

// writeRows writes a matrix in panels as rows [in out].
func writeRows(w io.Writer, k *kernels.Weight) error {
	per, lines := k.In/k.Groups, kernels.GroupLines(k.In, k.Groups)
	n := min(per, max(1, moved/k.Out/kernels.LineInputs)*kernels.LineInputs) // inputs, whole lines of them
	buf := make([]byte, n*k.Out)
	for g := range k.Groups {
		for lo := 0; lo < per; lo += n {
			rows := min(n, per-lo)
			q := tensor.Int8s(buf)
			for p := range kernels.NumPanels(k.Out) {
				c0 := p * kernels.PanelOutputs
				kernels.UnpackBlock(q[c0:], k.Panel(p)[(g*lines+lo/kernels.LineInputs)*kernels.LineBytes:], k.Out, rows, min(kernels.PanelOutputs, k.Out-c0))
			}
			if _, err := w.Write(buf[:rows*k.Out]); err != nil {
				return err
			}
		}
	}
	return nil
}

// matrix is the shape [in out] of one matrix of a tensor.
func matrix(t *ckpt.Tensor) (in, out int) {
	shape := t.Weight.Shape
	return shape[len(shape)-2], shape[len(shape)-1]
}
