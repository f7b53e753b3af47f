// Package kv keeps the books of the paged KV cache (arXiv 2309.06180): which blocks are free, and which
// are lent to a sequence. It deals in block numbers alone; keys and values lie with the stages, each of
// which has the same blocks for its own layers, so that one table serves all of them.
//
//   - A block is lent to one sequence at a time, and comes back exactly once. Anything else is a bug of
//     ours and panics: two sequences in one block would corrupt each other without a word.
//   - Lending is all or nothing, so that a sequence never waits for blocks half-way (M2).
//   - The same calls give the same blocks.
package kv
