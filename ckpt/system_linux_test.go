package ckpt

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv tells the test program to play another process: what it does, and where.
const childEnv = "TROUPE_CKPT_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, dir, ok := strings.Cut(os.Getenv(childEnv), "@"); ok {
		child(what, dir)
	}
	os.Exit(m.Run())
}

// child runs in a process of its own.
func child(what, dir string) {
	switch what {
	case "limit": // write a file larger than this process may
		signal.Ignore(unix.SIGXFSZ)
		limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			os.Exit(2)
		}
		err := Write(context.Background(), dir, []Source{plain("small", 4), plain("large", 1<<19)}, Options{})
		os.Stdout.WriteString(err.Error())
		os.Exit(0)
	}
	os.Exit(3)
}

func runChild(t *testing.T, what, dir string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what+"@"+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestWriteHitsLimit: a system that takes no more bytes, in the middle of a file.
func TestWriteHitsLimit(t *testing.T) {
	dir := t.TempDir()
	out, err := runChild(t, "limit", dir)
	if err != nil {
		t.Fatal(err, out)
	}
	if !strings.HasPrefix(out, "ckpt: "+fileName(1)+": large: file too large: ") {
		t.Errorf("error %q", out)
	}
	emptyDir(t, dir)
}

// TestPipeIsNotOpened: opening a pipe without a writer would wait for ever.
func TestPipeIsNotOpened(t *testing.T) {
	dir := copyGolden(t)
	if err := os.Remove(tensorPath(dir, 5)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(tensorPath(dir, 5), 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	_, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
	wantError(t, err, fileName(5), "not a regular file")
}

// TestFileCutWhileMapped: pages that vanish under a mapping are an error, not the end of the process.
func TestFileCutWhileMapped(t *testing.T) {
	dir := copyGolden(t)
	c, err := Open(t.Context(), os.DirFS(dir), goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Truncate(tensorPath(dir, 2), 0); err != nil {
		t.Fatal(err)
	}
	for _, prefault := range []bool{false, true} {
		wantError(t, c.check(t.Context(), Options{Prefault: prefault}), fileName(2), "its pages could not be read")
	}
	err = guard(func() error { return c.prefault(t.Context(), 2, newMeter(Options{}, 0)) })
	if err == nil || !strings.Contains(err.Error(), "its pages could not be read") {
		t.Errorf("prefault: %v", err)
	}
}
