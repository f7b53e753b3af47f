// Package lab is for experiments: what a model makes of texts when its rows get their experts in another way.
//
//   - A [Document] is a text to judge, as ids.
//   - A [Distribution] is the softmax of logits; its [Distribution.Divergence] is how far another one is from it.
//   - A [Judge] runs documents under several policies on a running engine and hands out a [Unit] for each pair as
//     soon as it is known, with its [Quality]: sums, which add up over documents.
//
// The engine is used as any client uses it: many requests at a time, batches shared by requests of different
// policies. By contract N3 a unit has the same bits as alone. What is asked for, shown and stored is the matter of the
// packages below this one and of cli.
package lab
