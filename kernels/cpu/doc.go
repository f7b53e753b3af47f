// Package cpu computes the ops of the table fast on the processor that the program runs on.
//
// Every variant gives the bits of kernels/ref (N1), whatever the number of threads and of rows: each
// output element is computed by one goroutine, in the canonical order of kernels/order.go. What a
// variant brings is a table of inner loops ([loops]); how rows, columns and threads are cut into chunks
// is the same for all:
//
//   - pool.go: the threads of a device and the fork and join of one op
//   - product.go, product_*.go: rows times weights, the heart of linear, route, expert and head
//   - loops.go: the table of inner loops; generic.go, generic_*.go: those of the portable variant
//   - one file for each other op
//
// Weights are read in place in the checkpoint's layout, so loading copies nothing. Scratch memory
// belongs to the device and only ever grows: the steady state allocates nothing (M3).
package cpu
