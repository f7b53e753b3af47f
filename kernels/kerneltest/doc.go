// Package kerneltest judges kernel libraries: built in, of any tier, or lent by a plugin.
//
// [Run] is the whole suite as a Go test, [Suite] the same without package testing, for a command. Each case
// builds the operands of one call, or of a short run of calls, from a fixed seed, and compares what the library
// makes of them with kernels/ref: bit for bit if the library promises to be identical, else within [Bound]. All
// NaNs count as equal. A case also checks that
//
//   - nothing but the outputs and the KV cache was written (M1): operands lie between guard pages, or
//     marks where there are none, first flush with the one behind and then with the one before;
//   - running again gives the same bytes;
//   - a row alone gives the bytes that it gives in company (N3).
//
// Weights lie at odd addresses where the machine allows it, as the payloads of pickles do.
package kerneltest
