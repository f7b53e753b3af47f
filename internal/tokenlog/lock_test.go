//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tokenlog

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLocked: a log that is open is nobody else's.
func TestLocked(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := begin(t, name, nil, nil)
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "another run writes into it") {
		t.Errorf("while it is written: %v", err)
	}
	closed(t, l)
	l = open(t, name)
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "another run writes into it") {
		t.Errorf("while it is read: %v", err)
	}
	closed(t, l)
	closed(t, open(t, name))
}
