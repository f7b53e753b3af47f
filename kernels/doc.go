// Package kernels is the door between the model's mathematics and the code that computes it.
//
// An [Op] is a piece of mathematics: the [Table] lists them all. A [Library] is a source of compiled
// ops: kernels/ref defines every op in plain Go, kernels/cpu is the fast twin, a plugin is a library in
// another process. A [Call] is one op with its weights and operands, a [Segment] a run of calls with no
// hand-over inside, a [Kernel] a segment compiled by a library, and a [Frame] the memory of one batch
// that a kernel works on. A [Binding] says which library computes what.
//
// Contracts, by the numbers of ARCHITECTURE.md:
//
//   - N1: kernels/ref defines each op and its canonical reduction order (order.go). Every in-tree
//     variant gives the same bits, for any number of threads and any number of rows.
//   - N2: three arithmetics, see [Arith].
//   - N3: a row's result depends on that row alone (and on the cached keys and values it may see).
//   - M1: a kernel never writes its inputs. The KV cache is the one place it writes beside its outputs,
//     and writing the same rows again leaves the same bytes, so a failed call can be run again.
//   - M3: no allocation per call in the steady state.
package kernels
