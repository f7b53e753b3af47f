// Package wire is the data half of the plugin protocol: how one call of a kernel lies in shared memory.
//
// A page of control words ([Control]) says which kernel runs on which frame and what came of it. The frame lies
// in a region: a table of words ([Encoder], [Decode]) with the place of each array, and the arrays behind it.
// Whatever one process reads of it was written by another, so every place is checked before it is used.
package wire
