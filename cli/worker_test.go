package main

import (
	"bufio"
	"bytes"
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
		{"run --insecure --workers 127.0.0.1:1 --spares 127.0.0.1:1 x", "give it once"},
	} {
		if o := troupe(t, "", strings.Fields(c.args)...); o.code == 0 || !strings.Contains(o.err, c.want) {
			t.Errorf("troupe %s: code %d, %s, want %s", c.args, o.code, o.err, c.want)
		}
	}
}
