//go:build linux || darwin

package control

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestStale: a socket that an engine has left behind makes room, a living one and other files do not.
func TestStale(t *testing.T) {
	path := socketPath(t)
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		if s, err := Serve(path, nil, echo); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, %v, want an error with %q", s, err, want)
		}
		if err := Check(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	refused("an engine is listening there")
	old.SetUnlinkOnClose(false)
	old.Close()
	if err := Check(path); err != nil {
		t.Error(err)
	}
	s, err := Serve(path, nil, echo)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: want mode 0600", info, err)
	}
	refused("an engine is listening there")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file that is no socket")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close has removed what was not its own: %v", err)
	}
}

// TestRace: of several engines that find an old socket one gets it, and keeps it.
func TestRace(t *testing.T) {
	path := socketPath(t)
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	var all sync.WaitGroup
	won := make(chan *Server, 8)
	for range cap(won) {
		all.Go(func() {
			if s, err := Serve(path, nil, echo); err == nil {
				won <- s
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Errorf("%d engines have the socket, want 1", len(won))
	}
	if _, err := Call(t.Context(), path, Request{}, nil); err != nil {
		t.Error(err)
	}
	for range len(won) {
		if err := (<-won).Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDirectory(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o775: false, 0o777: false, 0o777 | os.ModeSticky: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		s, err := Serve(filepath.Join(dir, "s"), nil, echo)
		if (err == nil) != ok {
			t.Errorf("a directory with mode %v: %v", mode, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Serve(filepath.Join(dir, "none", "s"), nil, echo); err == nil {
		t.Error("no error without a directory")
	}
}

func TestParse(t *testing.T) {
	for address, want := range map[string]string{
		"unix:/a/b": "/a/b", "unix:s": "s", "": "", "unix:": "", "/a/b": "", "tcp:1": "", "unix:a\x00b": "", "unix:/" + strings.Repeat("x", maxPath): "",
	} {
		if path, err := Parse(address); path != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", address, path, err, want)
		}
	}
}

// TestWithoutFile: on Linux a name without a file serves as well.
func TestWithoutFile(t *testing.T) {
	path, err := Parse("unix:@" + socketPath(t))
	if runtime.GOOS != "linux" {
		if err == nil {
			t.Error("no error")
		}
		return
	}
	s, err := Serve(path, nil, echo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(path, nil, echo); err == nil || !strings.Contains(err.Error(), "an engine is listening there") {
		t.Errorf("%v", err)
	}
	if _, err := Call(t.Context(), path, Request{}, nil); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
