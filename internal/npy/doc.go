// Package npy reads and writes NumPy's .npy files: arrays of 32-bit numbers, little-endian, C order.
//
// It is used for golden data and for `troupe logits`. The format is that of
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html: a magic string, a version,
// the length of a header, a Python dictionary with the keys descr, fortran_order and shape, the numbers.
//
// Files are not trusted: the header has a limit, and memory grows with the bytes that arrive, not with
// the shape that is claimed. Everything else that NumPy can store is refused with an error.
package npy
