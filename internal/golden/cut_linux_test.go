package golden

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"troupe/kernels"
)

// A weight file that is cut short while the model runs is an error, not the end of the process. Reading
// such a page is a fault on Linux; elsewhere files may be held or copied.
func TestCutFile(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // as lanes do
	for _, v := range kernels.Variants() {
		if v.Score() == 0 {
			continue
		}
		for _, file := range []string{"tensor00000_000", "tensor00003_000", "tensor00007_000"} {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("testdata/grok1/mini-g8")); err != nil {
				t.Fatal(err)
			}
			m, err := openDir(t.Context(), os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			l := open(t, m, kernels.Int8, v.Name, nil)
			must(l.Prefill([]int32{40, 250, 119}, 0))(t)
			path := filepath.Join(dir, "ckpt-0", file)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Prefill([]int32{40, 250, 119, 3, 4, 5, 6, 7}, 0); err == nil || !strings.Contains(err.Error(), "cut short") {
				t.Errorf("%s: %s: error %v, want one that says the file has been cut short", v.Name, file, err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
