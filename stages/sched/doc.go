// Package sched decides which rows run next: continuous batching, chunked prefill, microbatches.
//
// A [Scheduler] is handed requests and empty batches, and gives back batches with rows and, when they have
// been through the pipeline, events. It never computes, waits or looks at a clock: the same calls give
// the same batches.
//
//   - A request waits in line until it can run to its end: a place among the running, and every cache
//     block that it can ever need. So nothing is preempted or runs out of memory half-way (M2).
//   - A batch takes decode rows of running sequences first, one each, so that streams stay smooth; rows of
//     prompts, oldest first, fill what is left. Prompts that got nothing out of a batch go first in the next.
//   - Decode rows are dealt over as many batches as there are stages, and not more: each batch reads the
//     weights once, whatever its size.
//   - Several chunks of a prompt may be in flight together, so batches must pass every stage in the order
//     in which Next made them. They may come back in any order.
//   - A sequence that ends while a batch holds rows of it keeps its blocks until that batch is back.
//   - How rows are batched never changes a result (N3).
//   - Next and Commit allocate nothing in the steady state (M3).
package sched
