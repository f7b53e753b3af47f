package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"troupe/bench"
)

// builtProgram is the program as a file, for tests that need processes.
var builtProgram = sync.OnceValues(func() (string, error) {
	programWanted = true
	dir, err := os.MkdirTemp("", "troupe")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "troupe")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

var programWanted bool // builtProgram has been called

// aProgram is a process of the program.
type aProgram struct {
	*exec.Cmd
	address string
	err     spoken
}

// spoken keeps what a process says.
type spoken struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *spoken) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

var listening = regexp.MustCompile(`listening on (\S+) with`)

// startWorker starts a worker in a process of its own, at a free port unless one is given.
func startWorker(t *testing.T, args ...string) *aProgram {
	t.Helper()
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	w := &aProgram{Cmd: exec.Command(path, append([]string{"worker", "--threads", "1"}, args...)...)}
	if !slices.Contains(args, "--cert") {
		w.Args = append(w.Args, "--insecure")
	}
	if !slices.Contains(args, "--listen") {
		w.Args = append(w.Args, "--listen", "127.0.0.1:0")
	}
	pipe, err := w.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.kill(t, syscall.SIGKILL) })
	ready := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(pipe); in.Scan(); {
			w.err.mu.Lock()
			w.err.all.WriteString(in.Text() + "\n")
			w.err.mu.Unlock()
			if m := listening.FindStringSubmatch(in.Text()); m != nil {
				ready <- m[1]
			}
		}
	}()
	select {
	case w.address = <-ready:
	case <-time.After(30 * time.Second):
		t.Fatalf("the worker does not come up: %s", w.err.String())
	}
	return w
}

// kill sends a signal; with SIGKILL it waits for the end.
func (w *aProgram) kill(t *testing.T, signal syscall.Signal) {
	if w.ProcessState != nil {
		return
	}
	if err := w.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	if signal == syscall.SIGKILL {
		_ = w.Wait()
	}
}

// generate runs the program in a process of its own.
func generate(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"run", "--temperature", "0", "--ignore-eos"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out.String(), errs.String()
}

// What workers compute is what this process would, byte for byte, also when one of them is killed on the way.
func TestRunOnWorkers(t *testing.T) {
	long(t)
	want, _ := generate(t, "--max-tokens", "700", "Tale: The Fox")
	a, b := startWorker(t), startWorker(t)
	args := []string{"--insecure", "--workers", a.address + "," + b.address, "--max-tokens", "700", "Tale: The Fox"}
	if got, _ := generate(t, args...); got != want {
		t.Errorf("on workers %q, want %q", got, want)
	}
	timer := time.AfterFunc(300*time.Millisecond, func() { b.kill(t, syscall.SIGKILL) })
	defer timer.Stop()
	if got, errs := generate(t, args...); got != want {
		t.Errorf("with a worker killed %q, want %q: %s", got, want, errs)
	}
	if s := a.err.String(); strings.Count(s, "serving ") != 2 || !strings.Contains(s, "the run is over") {
		t.Errorf("the worker says %s", s)
	}
}

// Measurements on workers say what can be said from here, and a worker that is stopped says whom it served.
func TestMeasureOnWorkers(t *testing.T) {
	long(t)
	a, b := startWorker(t), startWorker(t)
	program := func(command string, flags ...string) (stdout, stderr string, code int) {
		path, err := builtProgram()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, append(strings.Fields(command), append(flags, "--insecure", "--workers", a.address+","+b.address)...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // its exit code tells
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	out, errs, code := program("bench --n-prompt 16 --n-gen 4 --reps 1 --json")
	var r bench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("bench: code %d, %v: %s", code, err, errs)
	}
	if !r.Away || r.Decode.Median <= 0 || r.ReadBandwidth.Median != 0 || len(r.Ops) != 0 || r.ActiveBytes == 0 {
		t.Errorf("bench: %+v", r.Result)
	}
	if _, errs, code = program("bench --compare exact"); code != 2 || !strings.Contains(errs, "bench each alone") {
		t.Errorf("bench --compare: code %d: %s", code, errs)
	}
	text := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(text, []byte("The geese were flying south."), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code = program("experts sweep --counts 2 --reps 0 --json", "--text", text, "--out", t.TempDir()); code != 0 || !strings.Contains(out, `"model_identity":"cee92122730f3749"`) {
		t.Errorf("sweep: code %d, %s: %s", code, out, errs)
	}
	// The way in which a worker ends is in its words, with whom it served.
	done := regexp.MustCompile(`done with \S+, process \d+: the run is over`)
	if s := a.err.String(); !done.MatchString(s) {
		t.Errorf("the worker says %s", s)
	}
}

// Programs of one commit are the same, those of no commit if their files are.
func TestProtocolOfBuilds(t *testing.T) {
	clean, changed, bare := build{Version: unversioned, Revision: "abc"}, build{Version: unversioned, Revision: "abc", Modified: true}, build{Version: unversioned}
	if got := clean.protocol(); got != "devel abc" {
		t.Errorf("clean: %q", got)
	}
	if got := (build{Version: "v1.2.3"}).protocol(); got != "v1.2.3" {
		t.Errorf("of a release: %q", got)
	}
	sum, err := programSum()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []build{changed, bare} {
		if got := b.protocol(); !strings.HasSuffix(got, fmt.Sprintf("program %x", sum[:6])) {
			t.Errorf("%+v: %q", b, got)
		}
	}
}

func TestWorkerErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"worker --insecure here", "takes none"},
		{"worker --insecure --devices gpu", "want cpu"},
		{"worker --insecure --listen 7000", "7000"},
		{"run --insecure --workers 7000 x", "HOST:PORT"},
		{"run --insecure --workers 127.0.0.1:1,127.0.0.1:1 x", "stands twice"},
		{"run --insecure --workers 127.0.0.1:1 --placement p.yaml x", "the file says it"},
		{"run --insecure --workers 127.0.0.1:1 --spares 127.0.0.1:1 x", "give it once"},
	} {
		if o := troupe(t, "", strings.Fields(c.args)...); o.code == 0 || !strings.Contains(o.err, c.want) {
			t.Errorf("troupe %s: code %d, %s, want %s", c.args, o.code, o.err, c.want)
		}
	}
}
