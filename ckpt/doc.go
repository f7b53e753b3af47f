// Package ckpt reads and writes checkpoints in two containers. One is the format of the Grok-1 release: a directory
// ckpt-0 with one pickle per tensor, each a float32 array or an int8 matrix with bfloat16 scales. The other is packed,
// one file model.troupe with the int8 matrices in the order in which kernels read them: [PackedName] describes it.
//
// It knows files, not models: the caller says which tensors it wants, in the checkpoint's own order,
// and gets bytes that lie where the file has them. It leaves all arithmetic to kernels, the list of
// names to model, and the packing of matrices to its callers.
//
//	[Open]         restore: every name, shape, dtype and scale group compared, then mapped read-only
//	[Scan]         headers alone, without a configuration; reads a few KiB of each file
//	[Write]        pickles as released, byte for byte, atomically, or as files of true size with holes
//	[FileSize]     what a tensor will take on disk
//	[ScanPacked]   the header of a packed file
//	[WritePacked]  a packed file, atomically
//	[Verify]       every array of a packed file against its checksum
//	[Layouts]      which bytes of which file are which tensor's, for copies of parts (package mirror)
//
// # Files of pickles
//
// tensor%05d_%03d: index in the model's list of tensors, index of the host that wrote it. Only host 0
// exists in published checkpoints. Layers stand in string order (0, 1, 10, 11, …, 2, 20, …), as JAX
// sorts the keys of its tree. Nothing inside a file tells its layer: where all layers have equal shapes
// (every Grok-1 size does) a directory numbered 0, 1, 2, … instead looks the same, and only its text
// is wrong. Shapes can tell the two orders apart only if layers differ in shape or quantisation.
//
// # From a pickle to a tensor
//
// A scanner walks the pickle opcode by opcode, refuses what no checkpoint contains, and steps over
// array bytes: what is left is a skeleton of some 300 bytes, in which NEXT_BUFFER stands for each
// byte string. gopickle builds the objects of the skeleton; the only names it may resolve are the five
// of classes.go, and none of them runs anything.
//
// # Invariants
//
//  1. Files are hostile until checked. No length is believed before it is compared with the file, no
//     memory is taken in proportion to a number found in a file, no name is resolved but the whitelist's.
//  2. Array bytes are not copied where files can be mapped (everywhere but Windows): they are slices of
//     the mapping, valid until [Checkpoint.Close], at any alignment.
//  3. A tensor that Open returns has the shape, kind and scale groups wanted; its scales are positive
//     and finite, or 0 where every weight they belong to is 0.
//  4. Errors are [Error]: the file, the tensor, what was found, what was wanted, what to do. Of several
//     bad files the first in file order is reported, with the number of the others.
//  5. A checkpoint under its final name is whole: Write works beside it and renames.
package ckpt
