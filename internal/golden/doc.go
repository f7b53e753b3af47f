// Package golden compares the engine with what the reference implementation computes: the recorded
// outputs of xai-org/grok-1 on small random checkpoints (testdata/README.md).
//
// [Loop] is the plainest way to run a model: one stage, one goroutine, no actors. Tests and benchmarks
// use it as the yardstick for everything else.
package golden
