// Package bench measures how fast a model or a single op runs, beside what the machine can do at that
// moment: the bandwidth of its memory, which bounds decode, and the peak of its multiply unit, which
// bounds prefill. A ratio to them says more than tokens a second, and holds from one machine, and one
// hour, to the next.
//
// [Run] measures a model as a user gets it, through the engine with all its actors. The probes run in the
// same process, before, between and behind prefill and decode; while one runs, the engine is held. Times are
// taken where the last stage ends a batch, since a reader of tokens may be late by a thread's turn. Several
// subjects (kernels, arithmetics) take turns, so that what disturbs one disturbs all. [RunOp] measures one
// op of the table.
//
// Nothing here judges: whoever reads a report does. Rounds that other programs have disturbed are marked.
package bench
