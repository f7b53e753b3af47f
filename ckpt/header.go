package ckpt

import (
	"context"
	"io"
	"io/fs"

	"troupe/tensor"
)

// Header is what a tensor's file says about itself.
type Header struct {
	File   string
	Bytes  int64       // of the file
	Weight tensor.Spec // F32 of any shape, or I8 [in, out] or [experts, in, out]
	Offset int64       // of the weight's first byte in the file; no alignment can be relied on
	// Groups is the number of scales of each column, 0 for a plain array: rows g·in/Groups up to
	// (g+1)·in/Groups of column n share scale [g, n].
	Groups       int
	Scales       tensor.Spec // BF16 [Groups, out] or [experts, Groups, out]; zero for a plain array
	ScalesOffset int64
	ScaleFlags   int // as Source has them
}

// Quantised tells an int8 matrix with scales from a plain float32 array.
func (h Header) Quantised() bool { return h.Groups > 0 }

// Scan reads the header of every tensor, in file order, without a configuration: to show a checkpoint and
// to recognise one that came without config.json. It looks at no array byte, so a checkpoint of sparse
// files passes.
func Scan(ctx context.Context, model fs.FS, opt Options) ([]Header, error) {
	l, err := list(model, opt.log())
	if err != nil {
		return nil, err
	}
	if err := firstOf(l.expect(len(l.files), noNames)); err != nil {
		return nil, err
	}
	headers := make([]Header, len(l.files))
	meter := newMeter(opt, l.bytes())
	pass := job{opt: opt, what: "read the headers", tensor: noNames}
	err = pass.each(ctx, len(l.files), func(i int) (err error) {
		headers[i], err = scanFile(model, fileName(i))
		meter.add(l.files[i].size)
		return err
	})
	if err != nil {
		return nil, err
	}
	return headers, nil
}

// scanFile opens a file for as long as it takes to read its header.
func scanFile(model fs.FS, name string) (Header, error) {
	in, err := openInput(model, name)
	if err != nil {
		return Header{}, err
	}
	defer in.Close()
	h, err := readHeader(in, in.size)
	h.File = name
	return h, err
}

// readHeader scans a pickle, builds its objects and checks that they are a tensor.
func readHeader(r io.ReaderAt, size int64) (Header, error) {
	s, err := scan(r, size)
	if err != nil {
		return Header{}, err
	}
	value, err := s.build()
	if err != nil {
		return Header{}, err
	}
	switch v := value.(type) {
	case *array:
		return plainHeader(v, size)
	case *quantised:
		return quantisedHeader(v, size)
	}
	return Header{}, badFormat("the pickle holds neither an array nor a QuantizedWeight8bit: not a file of a checkpoint")
}

func plainHeader(a *array, size int64) (Header, error) {
	if !a.set {
		return Header{}, badFormat("malformed array: it has no state")
	}
	if a.spec.DType != tensor.F32 {
		return Header{}, badFormat("a plain array of %v, want float32, or int8 with scales: convert the tensor", a.spec.DType)
	}
	return Header{Bytes: size, Weight: a.spec, Offset: a.data.offset}, nil
}

func quantisedHeader(q *quantised, size int64) (Header, error) {
	if q.weight == nil || q.scales == nil || !q.weight.set || !q.scales.set {
		return Header{}, badFormat("bad state of QuantizedWeight8bit: weight or scales are missing")
	}
	weight, scales := q.weight.spec, q.scales.spec
	if weight.DType != tensor.I8 || scales.DType != tensor.BF16 {
		return Header{}, badFormat("weight %v with scales %v, want int8 and bfloat16: convert the tensor", weight.DType, scales.DType)
	}
	groups, err := groupsOf(weight.Shape, scales.Shape)
	if err != nil {
		return Header{}, err
	}
	return Header{
		Bytes: size, Weight: weight, Offset: q.weight.data.offset,
		Groups: groups, Scales: scales, ScalesOffset: q.scales.data.offset, ScaleFlags: q.scales.flags,
	}, nil
}

// groupsOf is G of scales [G, out] for a weight [in, out], or [experts, G, out] for [experts, in, out].
func groupsOf(weight, scales tensor.Shape) (int, error) {
	n := len(weight)
	if n == 2 || n == 3 {
		want := append(tensor.Shape{}, weight...)
		if len(scales) == n {
			want[n-2] = scales[n-2]
		}
		if scales.Equal(want) && weight[n-2]%scales[n-2] == 0 {
			return scales[n-2], nil
		}
	}
	return 0, badFormat("scales %.100s do not fit weight %.100s, want [groups out] for [in out] or [experts groups out] for [experts in out], groups a divisor of in: the file is damaged or of another format", scales.String(), weight.String())
}

// scalesSpec is the inverse of groupsOf.
func scalesSpec(weight tensor.Shape, groups int) tensor.Spec {
	shape := append(tensor.Shape{}, weight...)
	shape[len(shape)-2] = groups
	return tensor.Spec{DType: tensor.BF16, Shape: shape}
}
