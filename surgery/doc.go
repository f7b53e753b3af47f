// Package surgery rearranges the experts of a model without a new checkpoint: an [Overlay] says, layer by layer, of
// which old experts each new one is made, and is applied when the model is loaded.
//
// A new (logical) expert has a column of the router and the weights of an expert. Each is that of one old (physical)
// expert, or an average of several. An expert whose weights are those of one old expert, without noise, is no copy:
// it reads the same memory, however often it occurs. Averages and noisy copies are computed in float64 and stored as
// the checkpoint stores the old ones: float32, or int8 with bfloat16 scales for the same groups.
//
// What can be done by it:
//
//   - [Prune] leaves experts out. The router's softmax then runs over the rest.
//   - [Duplicate] adds copies. The softmax gives each copy the probability of the original before normalisation, so
//     the mass of an expert that is there twice is counted twice.
//   - [Swap] lets two experts change places, with their columns: the model is the same but for the order in which the
//     softmax adds, so that probabilities may differ in the last bit.
//   - [Average] makes one expert of several. No column has the sum of their probabilities, as that is a sum of
//     exponentials; the average of the columns gives the geometric mean of their odds, less than any sum. The other
//     choice is the column of the first.
//   - [Upcycle] makes c copies of every expert, with noise if wanted (arXiv 2212.05055, Sparse Upcycling). Without
//     noise and with c times as many chosen the model computes what it did: each copy has p/c, and c copies are added.
//
// [Overlay.Then] puts one on another. internal/load applies an overlay to an open model. The package knows the
// arithmetic of weights, and neither files of checkpoints nor how a model runs.
package surgery
