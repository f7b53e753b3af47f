package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troupe/ckpt"
)

// childEnv tells the test program to play another process: what it does, the model's directory, the cache directory,
// and a number.
const childEnv = "TROUPE_MIRROR_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := strings.Split(os.Getenv(childEnv), "@"); len(what) == 4 {
		if err := child(what[0], what[1], what[2], what[3]); err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(what, model, cache, number string) error {
	ctx := context.Background()
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	m, err := Describe(ctx, os.DirFS(model), []Tensor{{"embed", -1}, {"experts", 0}, {"norm", 1}}, sampleLayouts())
	if err != nil {
		return err
	}
	src := &counted{Source: NewDirectory(os.DirFS(model), m)}
	opt := Options{Dir: cache}
	want := everything
	r := rand.New(rand.NewPCG(uint64(n), 1))
	switch what {
	case "die": // at a piece, or at any moment
		if at := r.Int64N(6); n%2 == 0 {
			src.read = func(n int64, _ []byte, _ *[32]byte) error {
				if n > at {
					_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				}
				return nil
			}
		} else {
			wait := time.Duration(r.IntN(6000)) * time.Microsecond
			time.AfterFunc(wait, func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) })
		}
	case "part":
		want = func(tensor string, _, expert int) bool { return expert == n || tensor == "norm" }
	case "stage":
		opt.Temporary = true
	case "limit":
		signal.Ignore(unix.SIGXFSZ)
		limit := unix.Rlimit{Cur: mib, Max: mib}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
	}
	v, err := Get(ctx, opt, src, want, 3, nil)
	if err != nil {
		return err
	}
	if what == "stage" { // until it is killed
		fmt.Println("there")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	return v.Close()
}

func command(t *testing.T, what string, s *sample, cache string, n int) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s@%s@%s@%d", childEnv, what, s.dir, cache, n))
	return c
}

// TestKilled: a fetch that is killed at any moment, again and again, leaves nothing wrong; what it has journaled is not
// fetched again.
func TestKilled(t *testing.T) {
	s := newSample(t, 40)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	nothing := func(string, int, int) bool { return false }
	for round := range rounds {
		cache, left := t.TempDir(), s.man.PartBytes(everything)
		for life := range 4 {
			out, err := command(t, "die", s, cache, round*2+life).CombinedOutput()
			if len(out) > 0 {
				t.Fatalf("round %d: %v: %s", round, err, out)
			}
			v := mustOpen(t, Options{Dir: cache}, s.man)
			if v.Missing(everything) > left {
				t.Errorf("round %d: %d bytes missing after a life, %d before it", round, v.Missing(everything), left)
			}
			left = v.Missing(everything)
			for _, f := range s.man.Files {
				if err := s.compare(v, nothing); err != nil && !errors.Is(err, ErrMissing) {
					t.Fatalf("round %d: %s: %v", round, f.Name, err)
				}
			}
			if n, err := v.Verify(t.Context(), nil); n != 0 || err != nil {
				t.Fatalf("round %d: %d damaged pieces in the journal (%v)", round, n, err)
			}
		}
		v := mustOpen(t, Options{Dir: cache}, s.man)
		src := s.source()
		mustFetch(t, v, src, everything)
		if err := s.compare(v, everything); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if read := src.reads.Load() * PieceBytes; read < left || read > left+4*PieceBytes {
			t.Errorf("round %d: %d pieces read for %d bytes", round, src.reads.Load(), left)
		}
	}
}

// TestProcesses: processes that begin at once and want different parts share one copy.
func TestProcesses(t *testing.T) {
	s, cache := newSample(t, 41), t.TempDir()
	var all []*exec.Cmd
	outs := make([]strings.Builder, 6)
	for i := range outs {
		c := command(t, "part", s, cache, i%4)
		c.Stdout, c.Stderr = &outs[i], &outs[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for i, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, outs[i].String())
		}
	}
	v := mustOpen(t, Options{Dir: cache}, s.man)
	experts := func(tensor string, _, _ int) bool { return tensor != "embed" }
	if v.Missing(experts) != 0 {
		t.Errorf("%d bytes are missing", v.Missing(experts))
	}
	if err := s.compare(v, experts); err != nil {
		t.Error(err)
	}
}

// TestTooLarge: a system that takes no file of this size.
func TestTooLarge(t *testing.T) {
	s := newSample(t, 42)
	out, err := command(t, "limit", s, t.TempDir(), 0).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "file too large: this file system or user (ulimit -f)") {
		t.Errorf("%v: %s", err, out)
	}
}

// tmpfs is a directory in memory that is not there yet.
func tmpfs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "troupe-test-")
	if err != nil {
		t.Skip("no /dev/shm here:", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if _, _, err := ckpt.TmpfsRoom(dir); err != nil {
		t.Skip("/dev/shm:", err)
	}
	return filepath.Join(dir, "weights")
}

// copiesIn lists the copies of a cache directory.
func copiesIn(t *testing.T, dir string) int {
	t.Helper()
	o := Options{Dir: dir}
	list, err := o.copies()
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestStaged: programs share a copy in memory, the last one removes it, and what one leaves that is killed is used
// by the next with the same model, or removed by one with another.
func TestStaged(t *testing.T) {
	dir := tmpfs(t)
	s, other := newSample(t, 43), newSample(t, 44)
	opt := Options{Dir: dir, Temporary: true}
	c := command(t, "stage", s, dir, 0)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("there\n"))); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, opt, s.man)
	if n := v.Missing(everything); n != 0 {
		t.Errorf("%d bytes of a shared copy are missing", n)
	}
	if err := v.Close(); err != nil || copiesIn(t, dir) != 1 {
		t.Errorf("%v, %d copies, want the one that the other program has", err, copiesIn(t, dir))
	}
	if err := errors.Join(c.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	if copiesIn(t, dir) != 1 {
		t.Error("a killed process has removed its copy")
	}
	a, b := mustOpen(t, opt, s.man), mustOpen(t, opt, s.man)
	if err := s.compare(a, everything); err != nil {
		t.Errorf("the copy of a killed process: %v", err)
	}
	mustFetch(t, b, s.source(), everything)
	if err := a.Close(); err != nil || copiesIn(t, dir) != 1 {
		t.Errorf("%v, %d copies, want one that is in use", err, copiesIn(t, dir))
	}
	f, err := b.Open("config.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := b.Close(); err != nil || copiesIn(t, dir) != 0 {
		t.Errorf("%v, %d copies, want none", err, copiesIn(t, dir))
	}
	// One that was left by a killed process goes when another model comes, or by Sweep.
	for _, sweep := range []func() error{
		func() error { return Sweep(t.Context(), Options{Dir: dir}) },
		func() error { return mustOpen(t, opt, other.man).Close() },
	} {
		left := mustOpen(t, Options{Dir: dir}, s.man) // closing it leaves the copy, as a kill does
		mustFetch(t, left, s.source(), oneExpert)
		if err := sweep(); err != nil || copiesIn(t, dir) != 1 {
			t.Errorf("%v, %d copies, want the one in use", err, copiesIn(t, dir))
		}
		if err := errors.Join(left.Close(), sweep()); err != nil || copiesIn(t, dir) != 0 {
			t.Errorf("%v, %d copies, want none", err, copiesIn(t, dir))
		}
	}
}

// TestStageRefuses: a directory that is not in memory, or not this user's own.
func TestStageRefuses(t *testing.T) {
	s := newSample(t, 45)
	dir := tmpfs(t)
	for name, c := range map[string]struct {
		dir  string
		make func(path string) error
		says string
	}{
		"disk":    {filepath.Join(t.TempDir(), "x"), nil, "not a tmpfs"},
		"others":  {dir + "1", func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) }, "nobody else may enter"},
		"link":    {dir + "2", func(path string) error { return os.Symlink(t.TempDir(), path) }, "nobody else may enter"},
		"no room": {dir + "3", nil, "tmpfs"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.make != nil {
				if err := c.make(c.dir); err != nil {
					t.Fatal(err)
				}
			}
			m := s.man
			if name == "no room" {
				huge := *s.man
				huge.Files = append(huge.Files[:1:1], File{Name: "model.troupe", Size: maxTotal / 2, Sample: strings.Repeat("0", 64)})
				raw, err := huge.Encode()
				if err == nil {
					m, err = Parse(raw)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			v, err := Get(t.Context(), Options{Dir: c.dir, Temporary: true}, &stated{s.source(), m}, everything, 2, nil)
			if err == nil {
				t.Fatal("staged:", v.Close())
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q, want one that says %q", err, c.says)
			}
		})
	}
	if err := Sweep(t.Context(), Options{Dir: dir + "-none"}); err != nil {
		t.Errorf("nothing to sweep: %v", err)
	}
}

// stated is a source that says it has something else.
type stated struct {
	Source
	man *Manifest
}

func (s *stated) Manifest(context.Context) ([]byte, error) { return s.man.Encode() }
