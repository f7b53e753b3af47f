package ckpt

import (
	"io"
	"io/fs"
	"os"
	"slices"

	"troupe/tensor"
)

// Sparse is a file of which parts may be missing, such as a copy that is fetched piece by piece. [Open] asks it
// before it points at an array, and fails where it is not there: a hole in a file would read as zeros.
type Sparse interface {
	fs.File
	io.ReaderAt
	// Present is nil if the bytes from lo up to hi of the file are there.
	Present(lo, hi int64) error
	// Mappable is the file itself; nil: it is none of the operating system's.
	Mappable() *os.File
}

// absent says which experts of tensor i are not needed; nil: all are.
func (o Options) absent(i int, shape tensor.Shape) []bool {
	if o.Need == nil {
		return nil
	}
	list := make([]bool, experts(shape))
	for e := range list {
		number := e
		if len(shape) < 3 {
			number = -1
		}
		list[e] = !o.Need(i, number)
	}
	if !slices.Contains(list, true) {
		return nil
	}
	return list
}

// Has tells whether the arrays of expert e, from 0, are here; of a tensor without experts e is 0.
func (t *Tensor) Has(e int) bool { return t.Absent == nil || !t.Absent[e] }

// None tells that nothing of a tensor is here.
func (t *Tensor) None() bool { return t.Absent != nil && !slices.Contains(t.Absent, false) }

// experts is the number of matrices of a tensor.
func (t *Tensor) experts() int { return experts(t.Weight.Shape) }

// cut is expert e's share of an array that has all of them in a row.
func (t *Tensor) cut(array []byte, e int) []byte {
	n := len(array) / t.experts()
	return array[e*n : (e+1)*n : (e+1)*n]
}

func (t *Tensor) data(e int) []byte { return t.cut(t.Data, e) }

// eachHere calls do for every expert that is here, until an error.
func (t *Tensor) eachHere(do func(e int) error) error {
	for e := range t.experts() {
		if t.Has(e) {
			if err := do(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Numbers of a tensor's arrays: data, scales, then the panels of each expert.
const (
	dataArray = iota
	scalesArray
	panelArray
)

// arraysHere calls do for each run of bytes that is here: the number of the array, where in it the run begins.
func (t *Tensor) arraysHere(do func(array int, from int64, bytes []byte) error) error {
	return t.eachHere(func(e int) error {
		for array, whole := range [][]byte{t.Data, t.Scales} {
			if part := t.cut(whole, e); len(part) > 0 {
				if err := do(array, int64(e*len(part)), part); err != nil {
					return err
				}
			}
		}
		if t.Panels == nil {
			return nil
		}
		return do(panelArray+e, 0, t.Panels[e])
	})
}

// here lists the runs of bytes that are here.
func (t *Tensor) here() (list [][]byte) {
	_ = t.arraysHere(func(_ int, _ int64, part []byte) error { list = append(list, part); return nil })
	return list
}

// narrow counts what is here, and fails where a sparse file has not got all of it. begin is the byte of the
// file with which an array begins.
func (t *Tensor) narrow(sparse Sparse, begin func(array int) int64) error {
	if t.Absent == nil && sparse == nil {
		return nil
	}
	var sum int64
	err := t.arraysHere(func(array int, from int64, part []byte) error {
		sum += int64(len(part))
		if sparse == nil {
			return nil
		}
		lo := begin(array) + from
		return sparse.Present(lo, lo+int64(len(part)))
	})
	if t.Absent != nil {
		t.Bytes = sum
	}
	return err
}
