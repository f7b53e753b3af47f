// Package tensor says what a block of numbers is called, how it is shaped and where it is stored.
//
// It is the vocabulary that ckpt, kernels, stages and plugins share, and it knows none of them.
// It leaves all arithmetic to kernels; the only conversions here are those between number formats.
//
//   - A [Spec] is a dtype and a shape.
//   - An [Arena] is memory outside the Go heap, backed by a memfd where the system has one, so that
//     another process can map it.
//   - A [Region] is memory that others can map, an arena or a mapped file, found by any slice of it.
//   - [Float32s] and [Int8s] look at bytes of a file as numbers without copying them.
package tensor
