package main

import (
	"slices"
	"strings"
	"testing"

	"troupe/kernels"
)

// Every variant of kernels/cpu is lent, under a name without the family, and plain Go's on any machine.
func TestVariants(t *testing.T) {
	all := variants()
	if !slices.ContainsFunc(all, func(v kernels.Variant) bool { return v.Name == "generic" && v.Score() > 0 }) {
		t.Errorf("no variant generic that runs among %d", len(all))
	}
	for i, v := range all {
		if strings.Contains(v.Name, "/") || v.Open == nil || i > 0 && v.Score() > all[i-1].Score() {
			t.Errorf("variant %d is %q with score %d: want a name without /, and the best first", i, v.Name, v.Score())
		}
	}
}
