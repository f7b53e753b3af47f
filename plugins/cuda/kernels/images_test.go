package kernels

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// The images were made of the sources that lie beside them.
func TestImagesAreCurrent(t *testing.T) {
	headers, err := filepath.Glob("*.h")
	if err != nil {
		t.Fatal(err)
	}
	text, err := images.ReadFile("images/made")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, name := range append(headers, "kernels.cu") {
		if name == "cudacpu.h" || name == "twin.h" { // not for a GPU
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("%x  %s", sha256.Sum256(source), name); !slices.Contains(lines, line) {
			t.Errorf("%s is not what the images were made of: task gpu:compile", name)
		}
	}
}
