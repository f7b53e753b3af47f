package load

import (
	"encoding/binary"
	"io"
	"math"

	"troupe/ckpt"
	"troupe/kernels"
	"troupe/tensor"
)

// part is one matrix of a tensor, or a tensor that has no experts, where its numbers lie.
type part struct {
	data   []byte          // row by row, as the pickles have it; nil: in panels, or made
	panels []byte          // int8 values in panels; nil: row by row
	scales []byte          // bfloat16; nil: none, or made
	made   *kernels.Weight // of an overlay, in memory of its own; nil: of the checkpoint
}

// parts lists the matrices of a tensor of the model: the checkpoint's, unless an overlay says otherwise.
func (m *Model) parts(i int) []part {
	t := &m.Checkpoint.Tensors[i]
	if p := m.changed[t.Name]; p != nil {
		return p
	}
	return partsOf(t)
}

// partsOf cuts a tensor of the checkpoint into its matrices.
func partsOf(t *ckpt.Tensor) []part {
	n := 1
	if len(t.Weight.Shape) == 3 {
		n = t.Weight.Shape[0]
	}
	list := make([]part, n)
	for e := range list {
		if t.Panels != nil {
			list[e].panels = t.Panels[e]
		} else {
			size := len(t.Data) / n
			list[e].data = t.Data[e*size : (e+1)*size : (e+1)*size]
		}
		if t.Groups > 0 {
			size := len(t.Scales) / n
			list[e].scales = t.Scales[e*size : (e+1)*size : (e+1)*size]
		}
	}
	return list
}

// shape is a tensor's shape in the model.
func (m *Model) shape(i int) tensor.Shape {
	shape := append(tensor.Shape{}, m.Checkpoint.Tensors[i].Weight.Shape...)
	p := m.parts(i)
	if len(shape) == 3 {
		shape[0] = len(p)
	} else if w := p[0].made; w != nil {
		shape[0], shape[1] = w.In, w.Out
	}
	return shape
}

// Bytes is the size of the checkpoint's files; with an overlay that of the numbers of the new model.
func (m *Model) Bytes() (sum int64) {
	if m.changed == nil {
		return m.Checkpoint.Bytes()
	}
	for i, t := range m.Checkpoint.Tensors {
		if t.None() {
			continue
		}
		shape := m.shape(i)
		values, _ := tensor.Spec{DType: t.Weight.DType, Shape: shape}.Bytes() // as Config.Validate bounds them
		sum += values
		if t.Groups > 0 {
			shape[len(shape)-2] = t.Groups
			scales, _ := tensor.Spec{DType: tensor.BF16, Shape: shape}.Bytes()
			sum += scales
		}
	}
	return sum
}

// through runs use on bytes of a part: those of the checkpoint as Checkpoint.Through does.
func (m *Model) through(i int, p part, bytes []byte, use func() error) error {
	if p.made != nil {
		return use()
	}
	return m.Checkpoint.Through(i, bytes, use)
}

// values streams the numbers of a tensor in the order of the pickles.
func (m *Model) values(i int) func(io.Writer) error {
	t := &m.Checkpoint.Tensors[i]
	return func(w io.Writer) error {
		for _, p := range m.parts(i) {
			var err error
			switch {
			case p.panels != nil:
				in, out := matrix(t)
				k := &kernels.Weight{In: in, Out: out, Groups: t.Groups, Q: tensor.Int8s(p.panels), Panels: true}
				err = m.through(i, p, p.panels, func() error { return writeRows(w, k) })
			case p.made != nil:
				err = writeNumbers(w, p.made.F, 4, func(b []byte, v float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(v)) })
			default:
				err = m.through(i, p, p.data, func() error { _, err := w.Write(p.data); return err })
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// scales streams the scales of a tensor.
func (m *Model) scales(i int) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, p := range m.parts(i) {
			var err error
			if p.made != nil {
				err = writeNumbers(w, p.made.Scales, 2, func(b []byte, v float32) { binary.LittleEndian.PutUint16(b, tensor.ToBF16(v)) })
			} else {
				err = m.through(i, p, p.scales, func() error { _, err := w.Write(p.scales); return err })
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// writeNumbers writes numbers of size bytes each.
func writeNumbers(w io.Writer, list []float32, size int, put func(b []byte, v float32)) error {
	buf := make([]byte, min(len(list), moved/size)*size)
	for len(list) > 0 {
		n := min(len(list), moved/size)
		for i, v := range list[:n] {
			put(buf[i*size:], v)
		}
		if _, err := w.Write(buf[:n*size]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}
