package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"

	"troupe/tensor"
)

// packedTensor is where a packed file has a tensor.
type packedTensor struct {
	Header
	panels []int // entries, by expert
	data   int   // entry of a plain array, or of the scales
}

// ScanPacked reads the header of a packed file and holds it against what a model wants. The headers are in
// the order of the list; those of matrices say where the first expert begins.
func ScanPacked(model fs.FS, wants []Want) ([]Header, error) {
	in, err := openPackedInput(model)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	_, found, err := findPacked(in, wants)
	if err != nil {
		return nil, err
	}
	headers := make([]Header, len(found))
	for i := range found {
		headers[i] = found[i].Header
	}
	return headers, nil
}

func openPackedInput(model fs.FS) (*input, error) {
	if _, err := regularSize(model, PackedName); err != nil {
		return nil, &Error{File: PackedName, Err: err}
	}
	in, err := openInput(model, PackedName)
	if err != nil {
		return nil, &Error{File: PackedName, Err: err}
	}
	return in, nil
}

// findPacked reads a file's header and finds every tensor of the list in it, and nothing else.
func findPacked(in *input, wants []Want) (*packedFile, []packedTensor, error) {
	p, err := readPacked(in, in.size, headerLimit(wants))
	if err != nil {
		return nil, nil, &Error{File: PackedName, Err: err}
	}
	found := make([]packedTensor, len(wants))
	bad := make([]error, len(wants))
	used := map[string]bool{}
	for i, w := range wants {
		if found[i], bad[i] = p.find(w, used); bad[i] == nil {
			bad[i] = compare(found[i].Header, w)
		}
	}
	err = firstOf(collectIn(bad, func(int) string { return PackedName }, func(i int) string { return wants[i].Name }))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range p.entries {
		if !used[e.name] && !e.padding() {
			return nil, nil, &Error{File: PackedName, Tensor: fmt.Sprintf("%.100s", e.name), Err: errors.New("an array that the configuration has not: " + useItsConfig)}
		}
	}
	return p, found, nil
}

// find puts a tensor together from its arrays.
func (p *packedFile) find(w Want, used map[string]bool) (t packedTensor, err error) {
	t.File = PackedName
	take := func(name, dtype string, align int64) (int, packedEntry) {
		i, ok := p.byName[name]
		if !ok {
			if err == nil {
				err = badFormat("no array %s: %s, or convert the model again", name, useItsConfig)
			}
			return 0, packedEntry{}
		}
		e := p.entries[i]
		if e.dtype != dtype || (p.base+e.lo)%align != 0 {
			if err == nil {
				err = badFormat("%s is %s at byte %d, want %s at a multiple of %d: convert the model again", name, e.dtype, p.base+e.lo, dtype, align)
			}
		}
		used[name] = true
		t.Bytes += e.hi - e.lo
		return i, e
	}
	if _, plain := p.byName[w.Name]; plain {
		i, e := take(w.Name, "F32", 1)
		t.data, t.Weight, t.Offset = i, tensor.Spec{DType: tensor.F32, Shape: e.shape}, p.base+e.lo
		return t, err
	}
	i, e := take(ScalesName(w.Name), "BF16", 1)
	n := len(w.Shape)
	if err != nil || n < 2 || len(e.shape) != n || n == 3 && e.shape[0] != w.Shape[0] || !product(e.shape[n-2:]) || w.Shape[n-2]%e.shape[n-2] != 0 {
		if err == nil {
			err = badFormat("scales %v for a tensor %v, want [groups out] for [in out] or [experts groups out] for [experts in out], groups a divisor of in: %s", e.shape, w.Shape, useItsConfig)
		}
		return t, err
	}
	shape := append(tensor.Shape{}, w.Shape...)
	shape[n-1] = e.shape[n-1]
	t.Weight, t.Groups = tensor.Spec{DType: tensor.I8, Shape: shape}, e.shape[n-2]
	t.data, t.ScalesOffset, t.Scales = i, p.base+e.lo, scalesSpec(shape, t.Groups)
	want := PanelShape(shape[n-2], shape[n-1], t.Groups)
	for x := range experts(shape) {
		name := matrixName(w.Name, shape, x)
		i, e := take(name, "I8", pageAlign)
		if err == nil && !e.shape.Equal(want) {
			err = badFormat("%s has shape %v, want %v: %s", name, e.shape, want, useItsConfig)
		}
		if err != nil {
			return t, err
		}
		if x == 0 {
			t.Offset = p.base + e.lo
		}
		t.panels = append(t.panels, i)
	}
	return t, nil
}

// product tells whether dimensions are positive and small enough to be multiplied.
func product(dims []int) bool {
	for _, d := range dims {
		if d < 1 || d > math.MaxInt32 {
			return false
		}
	}
	return true
}

// experts is the number of matrices of a tensor.
func experts(shape tensor.Shape) int {
	if len(shape) == 3 {
		return shape[0]
	}
	return 1
}

// matrixName is the name of expert x's matrix, or of the only one.
func matrixName(name string, shape tensor.Shape, x int) string {
	if len(shape) < 3 {
		x = -1
	}
	return PanelsName(name, x)
}

// openPacked maps a packed file; nothing of it is copied.
func openPacked(model fs.FS, wants []Want, opt Options) (*Checkpoint, error) {
	if _, err := fs.Stat(model, dirName); err == nil {
		opt.log().Warn("both "+PackedName+" and "+dirName+" are there: the first is used", "unused", dirName)
	}
	in, err := openPackedInput(model)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p, found, err := findPacked(in, wants)
	if err != nil {
		return nil, err
	}
	r, err := in.load()
	if err != nil {
		return nil, &Error{File: PackedName, Err: err}
	}
	c := &Checkpoint{Meta: p.meta, regions: []region{r}}
	array := func(i int) []byte {
		lo, hi := p.base+p.entries[i].lo, p.base+p.entries[i].hi
		return r.data[lo:hi:hi]
	}
	flags, err := strconv.ParseUint(p.meta[ScaleFlagsKey], 10, 8)
	if err != nil {
		flags = 0
	}
	for i, w := range wants {
		f := found[i]
		t := Tensor{Name: w.Name, File: PackedName, Weight: f.Weight, Groups: f.Groups, Bytes: f.Bytes, Absent: opt.absent(i, w.Shape)}
		if f.Groups == 0 {
			t.Data = array(f.data)
		} else {
			t.Scales, t.ScaleFlags = array(f.data), int(flags)
		}
		for _, x := range f.panels {
			t.Panels = append(t.Panels, array(x))
		}
		err := t.narrow(in.sparse, func(a int) int64 {
			switch {
			case a >= panelArray:
				return p.base + p.entries[f.panels[a-panelArray]].lo
			default:
				return p.base + p.entries[f.data].lo
			}
		})
		if err != nil {
			return nil, errors.Join(&Error{File: PackedName, Tensor: w.Name, Err: err}, c.Close())
		}
		c.Tensors = append(c.Tensors, t)
	}
	return c, nil
}
