// Package golden compares the engine with what the reference implementation computes: the recorded
// outputs of xai-org/grok-1 on small random checkpoints (testdata/README.md).
package golden
