package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"troupe/tensor"
)

// Want is one tensor that a model expects; its place in the list is its file's index.
type Want struct {
	Name   string       // for errors and listings: "transformer/decoder_layer_0/moe/linear/w"
	Shape  tensor.Shape // [n], [in, out] or [experts, in, out]
	Plain  bool         // a float32 array is accepted
	Groups []int        // the numbers of scale groups accepted for an int8 matrix; nil: never quantised
	Class  string       // tensors of one class must all be plain or all have the same Groups; "": no such demand
}

// Tensor is one tensor of an open checkpoint.
type Tensor struct {
	Name   string
	File   string
	Weight tensor.Spec // I8 [in, out] or [experts, in, out], or F32
	Data   []byte      // of Weight, in C order: read-only, at any alignment, valid until Checkpoint.Close
	Panels [][]byte    // in a packed file instead of Data: the int8 values of each expert, or of the one matrix, in panels
	Groups int         // 0: plain
	Scales []byte      // bfloat16 [Groups, out] or [experts, Groups, out], as Data; nil: plain
	Bytes  int64       // of the file; of the arrays in a packed file; of the needed arrays where some are Absent
	// Absent says which experts' arrays are not here, as Options.Need has it; of a tensor without experts, one
	// element. Their bytes must not be read: a file with holes has zeros there. nil: everything is here.
	Absent []bool
	// ScaleFlags are those that the pickle had, as Source takes them.
	ScaleFlags int
}

// Checkpoint is an open checkpoint. It is safe for concurrent use until Close.
type Checkpoint struct {
	Tensors []Tensor          // in the order of the list given to Open
	Meta    map[string]string // what the writer of a packed file noted; nil for pickles

	regions []region // of each tensor's file; a packed checkpoint has one
}

// Packed tells whether the checkpoint is one packed file.
func (c *Checkpoint) Packed() bool { return c.Meta != nil }

func (c *Checkpoint) regionOf(i int) *region {
	if c.Packed() {
		i = 0
	}
	return &c.regions[i]
}

// Open is the reference's restore: it opens ckpt-0 below the model directory, or a packed file if there is
// one, and compares every file with
// the list of tensors: name, shape, dtype, scale groups, the values of scales, and those of float32 arrays
// up to 16 MiB (all of them with Options.Prefault). Files of os.DirFS are mapped, others are read into memory.
//
// Scales must be finite and positive. A scale of 0 is accepted where all weights that it belongs to are 0
// (a column without a use); a tensor with no other scales is not, as that is what sparse files and unfinished downloads hold.
func Open(ctx context.Context, model fs.FS, wants []Want, opt Options) (*Checkpoint, error) {
	start := time.Now()
	var c *Checkpoint
	var err error
	if HasPacked(model) {
		c, err = openPacked(model, wants, opt)
	} else {
		c, err = openPickles(ctx, model, wants, opt)
	}
	if err == nil {
		err = compareClasses(c.Tensors, wants)
	}
	if err == nil {
		err = c.check(ctx, opt)
	}
	if err != nil {
		if c != nil {
			_ = c.Close() // the first error is the one to tell
		}
		return nil, err
	}
	opt.log().Info("checkpoint open", "tensors", len(wants), "bytes", c.Bytes(), "prefaulted", opt.Prefault, "took", time.Since(start).Round(time.Millisecond))
	return c, nil
}

func openPickles(ctx context.Context, model fs.FS, wants []Want, opt Options) (*Checkpoint, error) {
	name := func(i int) string { return wants[i].Name }
	l, err := list(model, opt.log())
	if err != nil {
		return nil, err
	}
	absent := make([][]bool, len(wants))
	for i, w := range wants {
		if absent[i] = opt.absent(i, w.Shape); absent[i] != nil && !slices.Contains(absent[i], false) {
			l.spare(i)
		}
	}
	if err := firstOf(l.expect(len(wants), name)); err != nil {
		return nil, err
	}
	c := &Checkpoint{Tensors: make([]Tensor, len(wants)), regions: make([]region, len(wants))}
	pass := job{opt: opt, what: "compare the headers", tensor: name}
	return c, pass.each(ctx, len(wants), func(i int) error {
		return c.openTensor(model, i, wants[i], absent[i])
	})
}

// openTensor reads the header of file i, compares it, and only then maps the file. A file of which nothing is needed
// is not opened.
func (c *Checkpoint) openTensor(model fs.FS, i int, want Want, absent []bool) error {
	c.Tensors[i] = Tensor{Name: want.Name, File: fileName(i), Absent: absent}
	if c.Tensors[i].None() {
		return nil
	}
	in, err := openInput(model, fileName(i))
	if err != nil {
		return err
	}
	defer in.Close()
	h, err := readHeader(in, in.size)
	if err != nil {
		return err
	}
	if err := compare(h, want); err != nil {
		return err
	}
	r, err := in.load()
	if err != nil {
		return err
	}
	c.regions[i] = r
	c.Tensors[i] = Tensor{
		Name: want.Name, File: fileName(i), Weight: h.Weight, Groups: h.Groups, Bytes: h.Bytes, ScaleFlags: h.ScaleFlags,
		Data: section(r.data, h.Offset, h.Weight), Absent: absent,
	}
	if h.Quantised() {
		c.Tensors[i].Scales = section(r.data, h.ScalesOffset, h.Scales)
	}
	at := [2]int64{h.Offset, h.ScalesOffset}
	return c.Tensors[i].narrow(in.sparse, func(array int) int64 { return at[array] })
}

// section cuts an array out of its file; readHeader has compared both.
func section(data []byte, offset int64, spec tensor.Spec) []byte {
	n, _ := spec.Bytes()
	return data[offset : offset+n : offset+n]
}

// Bytes is the size of all files.
func (c *Checkpoint) Bytes() (sum int64) {
	for i := range c.Tensors {
		sum += c.Tensors[i].Bytes
	}
	return sum
}

// Close gives the mappings back. No Data or Scales may be used afterwards.
func (c *Checkpoint) Close() error {
	var err error
	for i := range c.regions {
		err = errors.Join(err, c.regions[i].free())
	}
	clear(c.Tensors)
	return err
}
