//go:build unix

package journal

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe would wait for somebody who writes.
func TestPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	_, err := Open(Options{File: file, Kind: "test"}, nil)
	if err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("error %v, want one that says what the file is", err)
	}
}
