package ckpt

import (
	"cmp"
	"context"
	"io/fs"
	"slices"
)

// Layout says where a file of a checkpoint has which arrays.
type Layout struct {
	File    string   // below the model directory
	Bytes   int64    // of the file
	Extents []Extent // in the order of the file; what lies between them describes it
}

// Extent is a run of bytes that belongs to one tensor and, where a tensor has experts, to one of them.
type Extent struct {
	Tensor        int   // the place in the list of wants; -1 for padding, which nobody reads
	Expert        int   // -1 for a tensor without experts
	Offset, Bytes int64 // in the file
}

// Layouts reads the headers of all files of a checkpoint, holds them against what a model wants, as Open does, and
// says where the arrays lie. It looks at no array.
func Layouts(ctx context.Context, model fs.FS, wants []Want, opt Options) ([]Layout, error) {
	if HasPacked(model) {
		return packedLayouts(model, wants)
	}
	headers, err := Scan(ctx, model, opt)
	if err != nil {
		return nil, err
	}
	if err := Compare(headers, wants); err != nil {
		return nil, err
	}
	list := make([]Layout, len(headers))
	for i, h := range headers {
		l := Layout{File: h.File, Bytes: h.Bytes}
		n := len(wants[i].Shape)
		values, _ := h.Weight.Bytes() // compared with the file
		l.add(i, n, experts(h.Weight.Shape), h.Offset, values)
		if h.Quantised() {
			scales, _ := h.Scales.Bytes()
			l.add(i, n, experts(h.Weight.Shape), h.ScalesOffset, scales)
		}
		list[i] = l.sorted()
	}
	return list, nil
}

func packedLayouts(model fs.FS, wants []Want) ([]Layout, error) {
	in, err := openPackedInput(model)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p, found, err := findPacked(in, wants)
	if err != nil {
		return nil, err
	}
	l := Layout{File: PackedName, Bytes: in.size}
	for i, f := range found {
		n, e := len(wants[i].Shape), p.entries[f.data]
		l.add(i, n, experts(f.Weight.Shape), p.base+e.lo, e.hi-e.lo)
		for x, at := range f.panels {
			e := p.entries[at]
			if n < 3 {
				x = -1
			}
			l.Extents = append(l.Extents, Extent{i, x, p.base + e.lo, e.hi - e.lo})
		}
	}
	for _, e := range p.entries {
		if e.padding() {
			l.Extents = append(l.Extents, Extent{-1, -1, p.base + e.lo, e.hi - e.lo})
		}
	}
	return []Layout{l.sorted()}, nil
}

// add cuts an array that has all experts in a row.
func (l *Layout) add(tensor, dims, experts int, offset, bytes int64) {
	if dims < 3 {
		l.Extents = append(l.Extents, Extent{tensor, -1, offset, bytes})
		return
	}
	n := bytes / int64(experts)
	for e := range experts {
		l.Extents = append(l.Extents, Extent{tensor, e, offset + int64(e)*n, n})
	}
}

func (l *Layout) sorted() Layout {
	slices.SortFunc(l.Extents, func(a, b Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	return *l
}
