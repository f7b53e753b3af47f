package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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
	case "crash": // stage a checkpoint and die without a chance to clean up
		if _, err := Stage(context.Background(), os.DirFS(goldenDir), StageOptions{Dir: dir}); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		time.Sleep(time.Minute)
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

// tmpfs is a fresh directory in memory.
func tmpfs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "troupe-test-")
	if err != nil {
		t.Skip("no /dev/shm here:", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if _, _, err := tmpfsRoom(dir); err != nil {
		t.Skip("/dev/shm:", err)
	}
	return dir
}

func TestStage(t *testing.T) {
	dir := tmpfs(t)
	last, total := int64(-1), int64(0)
	s, err := Stage(t.Context(), os.DirFS(goldenDir), StageOptions{Dir: dir, Options: Options{Progress: func(done, of int64) {
		if done < last || done > of {
			t.Errorf("progress %d of %d after %d", done, of, last)
		}
		last, total = done, of
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if err := SweepStaged(dir, Options{}); err != nil {
		t.Error(err)
	}
	c, err := Open(t.Context(), s, goldenWants(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkGolden(t, c) // mapped pages outlive the names
	if err := s.Close(); err != nil {
		t.Error("closed twice:", err)
	}
	emptyDir(t, dir)
}

// TestStageAfterCrash: the next process removes what a killed one left, and nothing that is in use or not ours.
func TestStageAfterCrash(t *testing.T) {
	dir := tmpfs(t)
	if out, err := runChild(t, "crash", dir); err == nil || out != "" {
		t.Fatalf("the child did not die: %v %s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0].Name(), stagePrefix) {
		t.Fatalf("the crash left %v (%v), want one staged copy", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, stagePrefix+"file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, stagePrefix+"link")); err != nil {
		t.Fatal(err)
	}
	first, err := Stage(t.Context(), os.DirFS(goldenDir), StageOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := Stage(t.Context(), os.DirFS(goldenDir), StageOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	now, err := os.ReadDir(dir)
	if err != nil || len(now) != 4 {
		t.Errorf("%v (%v), want two copies, a file and a link", now, err)
	}
	for _, e := range now {
		if e.Name() == left[0].Name() {
			t.Error("the copy of the dead process is still there")
		}
	}
	if _, err := fs.Stat(first, fileName(13)); err != nil {
		t.Error("a copy in use was removed:", err)
	}
}

// huge pretends that its files have a size.
type huge struct {
	fs.FS
	size int64
}

func (h huge) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(h.FS, name)
	return hugeInfo{info, h.size}, err
}

type hugeInfo struct {
	fs.FileInfo
	size int64
}

func (i hugeInfo) Size() int64 { return i.size }

func TestStageRefuses(t *testing.T) {
	dir := tmpfs(t)
	one := fstest.MapFS{fileName(0): {Data: []byte("x")}}
	opt := func(limit int64) StageOptions { return StageOptions{Dir: dir, Limit: limit} }
	for _, c := range []struct {
		name  string
		model fs.FS
		opt   StageOptions
		says  string
	}{
		{"limit", os.DirFS(goldenDir), opt(100_000), "needs 208896 bytes, the limit is 100000: raise the limit"},
		{"room", huge{one, 1 << 50}, opt(0), "needs 1125899906842624 bytes, "},
		{"no tmpfs", os.DirFS(goldenDir), StageOptions{Dir: "/proc"}, "not a tmpfs"},
		{"no directory", os.DirFS(goldenDir), StageOptions{Dir: dir + "/none"}, "no such file or directory"},
		{"missing file", fstest.MapFS{fileName(1): {}}, opt(0), "ckpt-0/tensor00000_000: missing file"},
		{"cut short", huge{one, 5000}, opt(0), "ckpt-0/tensor00000_000: it was cut short while being copied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Stage(t.Context(), c.model, c.opt)
			if err == nil {
				s.Close()
				t.Fatal("staged")
			}
			if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "ckpt: ") {
				t.Errorf("error %q, want one that says %q", err, c.says)
			}
			emptyDir(t, dir)
		})
	}
}

func TestStageCancelled(t *testing.T) {
	dir := tmpfs(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Stage(ctx, os.DirFS(goldenDir), StageOptions{Dir: dir, Options: Options{Parallel: 1, Progress: func(int64, int64) { cancel() }}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
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
