// Package stages arranges kernels into a model that runs: a [Stage] takes a [Batch] through a span of
// layers, an [Experts] computes what the router chose.
//
// Everything here is a plain state machine: no goroutine, no clock, no I/O; actors carry it. Its parts:
// sched decides which rows run next, kv counts cache blocks, place puts layers and experts on devices,
// sample turns logits into a token.
//
//   - N3: a row's result does not depend on its neighbours, the chunking of its prompt or the placement.
//   - M1: a Batch has one holder at a time. While a stage waits for experts it has lent the batch to
//     them: they read the experts' input and write disjoint parts, nobody else touches it.
//   - M3: no allocation per token in the steady state.
//   - B1: a Batch carries the generation it runs under. A device has a [Program] of every generation that has
//     batches on their way: who computes each piece of the calls, who does when that one fails, and who runs
//     beside it to be compared.
package stages
