package kernels

import (
	"strings"
	"testing"
)

func TestImages(t *testing.T) {
	ptx, err := PTX()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(ptx, ".target sm_80") || !strings.Contains(ptx, ".entry rmsnorm(") {
		t.Error("the PTX is not that of the kernels for 8.0")
	}
	cubins, err := Cubins()
	if err != nil {
		t.Fatal(err)
	}
	for _, capability := range []int{80, 90} {
		if c := cubins[capability]; !strings.HasPrefix(c, "\x7fELF") || !strings.Contains(c, "rmsnorm") {
			t.Errorf("no machine code of the kernels for %d", capability)
		}
	}
}
