package kerneltest

import (
	"testing"

	"troupe/kernels"
)

// The truth agrees with itself, however often it runs and in whatever company.
func TestRef(t *testing.T) {
	v, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	Run(t, v.Open)
}
