// Package sample draws the next token from logits.
//
// Contract N4: a token is a pure function of (seed, position, parameters, logits), whatever was drawn
// before, in whatever company, on whatever machine. Hence counter-based noise (threefry) instead of a
// generator with state, and elementary functions of our own: those of package math take other paths on
// other processors.
//
// One token is drawn in a fixed order:
//
//  1. Temperature divides the logits. At 0 the largest logit wins, ties to the lowest id, and the rest
//     does not apply.
//  2. Top-k keeps the TopK likeliest tokens, ties to the lower ids.
//  3. Top-p (the nucleus) keeps the fewest likeliest of these that hold TopP of their mass.
//  4. Min-p keeps those of at least MinP times the largest probability.
//  5. The largest sum of scaled logit and Gumbel noise among the tokens kept wins: a draw from the
//     softmax of the kept ones (Gumbel-max).
//
// The [Exact] sampler does this in float64, with 32 random bits a token. [JAXF32] and [JAXBF16] are the
// sampler of xai-org/grok-1 (runners.py sample_token), with its keys, its nucleus and its noise; the
// latter as released, in bfloat16, where the noise has 128 different values: a token whose scaled logit
// is more than 9.3 below the largest is never drawn, and ties are frequent and go to low ids. They have
// no top-k and no min-p.
//
// Stop strings are the other half: [Stop] watches the text that comes out.
//
// This package holds plain state: no goroutine, clock or input and output.
package sample
