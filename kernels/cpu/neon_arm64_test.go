//go:build !purego

package cpu

import (
	"testing"

	"golang.org/x/sys/cpu"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

// Processors without dot products have loops that TestConformance leaves out on those with them.
func TestNEONWithoutDot(t *testing.T) {
	if !cpu.ARM64.HasASIMDDP {
		t.Skip("this machine has no dot products: TestConformance does this")
	}
	panels := *neonLoops.panels
	panels.int8Rows = neonInt8(false)
	l := loops{vectorLoops: neonVectors, panels: &panels}
	kerneltest.Run(t, func(t kernels.Threads) (kernels.Library, error) { return open(neonName, neonDoc, &l, t), nil })
}
