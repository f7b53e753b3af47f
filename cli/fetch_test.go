//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"troupe/ckpt"
	"troupe/ckpt/mirror"
)

// stored is the disk that the files of weights below a directory take, in bytes.
func stored(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += s.Blocks * 512
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

var fetchingLine = regexp.MustCompile(`fetching (.+) from `)

// fetched are the bytes that a worker has said it fetches, in order.
func fetched(t *testing.T, w *aProgram) (list []uint64) {
	t.Helper()
	for _, m := range fetchingLine.FindAllStringSubmatch(w.err.String(), -1) {
		n, err := humanize.ParseBytes(m[1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// until waits for something that another process brings about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// Workers without files fetch their part from the head, each its own, whatever model comes, with an overlay too; what
// is in the cache is not fetched again. The tokens are those of a single process.
func TestRunOnFetchingWorkers(t *testing.T) {
	long(t)
	dir := t.TempDir()
	troupe(t, "", "new", "-q", "--out", dir+"/m", "--num-layers", "4", "--emb-size", "256", "--num-experts", "4", "--seed", "5").ok(t)
	troupe(t, "", "convert", "-q", "-m", dir+"/m", "--to", "packed", "--out", dir+"/packed").ok(t)
	troupe(t, "", "experts", "prune", "--keep", "0,1,2,3,5", "--out", dir+"/five.json").ok(t)
	a, b := startWorker(t, "--fetch", "--cache", dir+"/a"), startWorker(t, "--fetch", "--cache", dir+"/b")
	workers := []string{"--insecure", "--workers", a.address + "," + b.address}
	for i, args := range [][]string{
		{"--max-tokens", "40", "Tale: The Fox"},
		{"--max-tokens", "40", "Tale: The Fox"},
		{"--max-tokens", "30", "--overlay", dir + "/five.json", "Tale: The Fox"},
		{"--max-tokens", "20", "-m", dir + "/m", "--tokens", "5,6,7", "--ids"},
		{"--max-tokens", "20", "-m", dir + "/packed", "--tokens", "5,6,7", "--ids"},
	} {
		want, _ := generate(t, args...)
		before := len(fetched(t, a)) + len(fetched(t, b))
		got, errs := generate(t, append(workers, args...)...)
		if got != want || want == "" {
			t.Errorf("%v: %q, want %q: %s", args, got, want, errs)
		}
		fetches := len(fetched(t, a)) + len(fetched(t, b)) - before
		if wanted := map[int]int{0: 2, 3: 2, 4: 2}[i]; fetches != wanted {
			t.Errorf("%v: %d fetches, want %d: %s %s", args, fetches, wanted, a.err.String(), b.err.String())
		}
		if said := strings.Count(errs, " fetches "); said != fetches {
			t.Errorf("%v: the head tells of %d fetches, want %d: %s", args, said, fetches, errs)
		}
	}
	whole := stored(t, dir+"/m") + stored(t, dir+"/packed") + demoBytes
	for _, cache := range []string{dir + "/a", dir + "/b"} {
		if n := stored(t, cache); n < whole/4 || n > whole*4/5 {
			t.Errorf("%s has %d bytes of models of %d, want about half", cache, n, whole)
		}
	}
}

const demoBytes = 13 << 20 // of the model within the program, about

// A worker that is killed while it fetches goes on where it was.
func TestFetchGoesOn(t *testing.T) {
	long(t)
	dir := t.TempDir()
	troupe(t, "", "new", "-q", "--out", dir+"/m", "--num-layers", "4", "--emb-size", "512", "--key-size", "64", "--num-experts", "16", "--seed", "6").ok(t)
	args := []string{"-m", dir + "/m", "--tokens", "5,6,7", "--ids", "--max-tokens", "4"}
	want, _ := generate(t, args...)
	a := startWorker(t, "--fetch", "--cache", dir+"/a")
	cmd := exec.Command(must(builtProgram()), append([]string{"run", "--insecure", "--workers", a.address}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a piece in the cache", func() bool {
		journals, _ := filepath.Glob(dir + "/a/*/pieces")
		if len(journals) == 0 {
			return false
		}
		info, err := os.Stat(journals[0])
		return err == nil && info.Size() > 4000
	})
	a.kill(t, syscall.SIGKILL)
	_ = cmd.Process.Kill() // it ends by itself as well, or waits for the worker
	_ = cmd.Wait()
	b := startWorker(t, "--fetch", "--cache", dir+"/a")
	if got, errs := generate(t, append([]string{"--insecure", "--workers", b.address}, args...)...); got != want {
		t.Errorf("%q, want %q: %s", got, want, errs)
	}
	t.Logf("%s\n%s", a.err.String(), b.err.String())
	first, second := fetched(t, a), fetched(t, b)
	if len(first) != 1 || len(second) > 1 || len(second) == 1 && second[0] >= first[0] {
		t.Errorf("fetched %v, then %v bytes: want less", first, second)
	}
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}

// Too little room is an error on both sides that says how much is missing, and the worker serves on.
func TestFetchWithoutRoom(t *testing.T) {
	long(t)
	dir := t.TempDir()
	a := startWorker(t, "--fetch", "--cache", dir+"/a", "--cache-limit", "2MB")
	for range 2 {
		cmd := exec.Command(must(builtProgram()), "run", "--insecure", "--workers", a.address, "Tale: The Fox")
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), a.address) || !strings.Contains(string(out), "raise the limit by") {
			t.Errorf("%v: %s", err, out)
		}
		until(t, "the worker has ended the session", func() bool { return strings.Contains(a.err.String(), "done with") })
	}
	if !strings.Contains(a.err.String(), "raise the limit by") {
		t.Errorf("the worker says %s", a.err.String())
	}
	if n := stored(t, dir+"/a"); n > 2e6 {
		t.Errorf("%d bytes in the cache, want at most 2 MB", n)
	}
}

// With --shm what workers compute with lies in memory that they share, and is gone when the last of them has done.
func TestWorkersInSharedMemory(t *testing.T) {
	long(t)
	if _, _, err := ckpt.TmpfsRoom("/dev/shm"); err != nil {
		t.Skip("/dev/shm:", err)
	}
	dir := t.TempDir()
	troupe(t, "", "new", "-q", "--out", dir+"/m", "--num-layers", "2", "--emb-size", "128", "--seed", fmt.Sprint(os.Getpid())).ok(t)
	args := []string{"-m", dir + "/m", "--max-tokens", "20", "--tokens", "5,6,7", "--ids"}
	want, _ := generate(t, args...)
	copies := func() int {
		found, _ := filepath.Glob(mirror.SharedMemory() + "/*/pieces")
		return len(found)
	}
	before := copies()
	own, fetching := startWorker(t, "--shm", "-m", dir+"/m"), startWorker(t, "--shm", "--fetch")
	if got, errs := generate(t, append([]string{"--insecure", "--workers", own.address + "," + fetching.address}, args...)...); got != want {
		t.Errorf("%q, want %q: %s", got, want, errs)
	}
	if len(fetched(t, fetching)) > 1 {
		t.Errorf("fetched more than once: %s", fetching.err.String())
	}
	until(t, "copies in memory are removed", func() bool { return copies() <= before })
}

func TestFetchFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"worker --fetch -m x", "give one of them"},
		{"worker --fetch --overlay x", "give one of them"},
		{"worker --cache x", "add --fetch"},
		{"worker --cache-limit 5GB", "add --fetch"},
		{"worker --fetch --cache x --shm", "give one of them"},
		{"worker --fetch --cache-limit much", "as 100GB"},
		{"worker --fetch --cache-limit 0", "as 100GB"},
	} {
		if o := troupe(t, "", strings.Fields(c.args)...); o.code != 2 || !strings.Contains(o.err, c.want) {
			t.Errorf("troupe %s: code %d, %s, want %s", c.args, o.code, o.err, c.want)
		}
	}
}
