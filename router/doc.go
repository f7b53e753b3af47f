// Package router turns gate probabilities into work for experts: gate, choice, groups, order.
//
//   - A [Policy] says how rows get their experts, by a [Rule] for each layer. It belongs to a request, so rows of
//     one batch may differ.
//   - a row chooses under its rule (choose.go), in the plain case the likeliest experts, best first, ties to
//     the lower index (topk.go). Temperature and noise change the probabilities before (adjust.go)
//   - A [Routing] gathers the choices of a batch at one layer and groups them by expert, so that each
//     expert gets one piece of work. Every (row, rank) pair has its own place for the result, and the
//     sum over a row's pairs runs in rank order: the order of arrival does not matter (contract N3).
//
// The softmax over all experts before, and the weighted sum after, are kernels (ops route and combine).
// Gates are the probabilities themselves unless a rule renormalises them: so does the reference, and in
// Grok-1 the norm after the experts cancels a common factor anyway. This package is arithmetic only: it
// knows no actors, kernels or files.
package router
