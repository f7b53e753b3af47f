package ckpt

// Through runs use on a part of a tensor's arrays. The pages of the part are read in beforehand, in the order of
// the file, and given back afterwards, so that a pass over a checkpoint takes little memory; a page that cannot be
// read is an error. use must read the part in its own goroutine.
func (c *Checkpoint) Through(i int, part []byte, use func() error) error {
	t, r := &c.Tensors[i], c.regionOf(i)
	var other error
	fault := guard(func() error {
		r.bring(part)
		other = use()
		return nil
	})
	r.letGo(part)
	if fault != nil {
		return &Error{File: t.File, Tensor: t.Name, Err: fault}
	}
	return other
}

// bring reads the pages of a part in.
func (r *region) bring(part []byte) []byte {
	if r.mapped && len(part) > 0 {
		populate(r.around(part))
	}
	return part
}

// letGo gives the whole pages of a part back; they can be read again.
func (r *region) letGo(part []byte) {
	if r.mapped && len(part) > 0 {
		release(r.within(part))
	}
}
