package cpu

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Assembly for AVX2 uses nothing of AVX-512: the generator goes on to the registers beyond the 16th when a
// function needs more, and a machine that has both would not notice.
func TestAVX2FilesNeedNoMore(t *testing.T) {
	beyond := regexp.MustCompile(`(?m)^.*\b(?:[XY](?:1[6-9]|2\d|3[01])|Z\d+|K[0-7])\b.*$`)
	files, err := filepath.Glob("*avx2_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d assembly files, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if line := beyond.Find(text); line != nil {
			t.Errorf("%s: %s", name, line)
		}
	}
}
