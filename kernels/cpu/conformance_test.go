package cpu

import (
	"testing"

	"troupe/kernels"
	"troupe/kernels/kerneltest"
)

func TestConformance(t *testing.T) {
	for _, v := range kernels.Variants() {
		if v.Name != "ref" {
			t.Run(v.Name, func(t *testing.T) { kerneltest.Run(t, v.Open) })
		}
	}
}
