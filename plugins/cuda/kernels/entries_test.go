//go:build cudacpu && cgo

package kernels

import (
	"regexp"
	"strings"
	"testing"
)

// What is compiled for a GPU is what is tested here: the same kernels with as many parameters, each of 8 bytes.
func TestEntries(t *testing.T) {
	ptx, err := PTX()
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?s)\.entry (\w+)\((.*?)\)`).FindAllStringSubmatch(ptx, -1)
	if len(entries) != Count() {
		t.Errorf("%d kernels in the PTX, %d on the CPU", len(entries), Count())
	}
	for _, e := range entries {
		wide := strings.Count(e[2], ".param .u64") + strings.Count(e[2], ".param .f64")
		if n := strings.Count(e[2], ".param"); n != Params(e[1]) || n != wide {
			t.Errorf("%s: %d parameters in the PTX, %d of 8 bytes; %d on the CPU", e[1], n, wide, Params(e[1]))
		}
	}
}
