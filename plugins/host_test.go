//go:build linux

package plugins

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/tensor"
)

// hostMode in the environment makes this test an engine with a plugin in that mode.
const hostMode = "TROUPE_TEST_HOST"

// TestHost is the engine of TestHostKilled, in a process of its own.
func TestHost(t *testing.T) {
	mode, ok := os.LookupEnv(hostMode)
	if !ok {
		t.Skip("it is the other process of TestHostKilled")
	}
	lib, err := reference(Config{Args: []string{mode}, Deadline: time.Hour}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	s, f := addFrame(t, 1000)
	k, err := lib.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("plugin", lib.(*Library).PID())
	for {
		_ = k.Run(f)
	}
}

// An engine that is killed leaves no process of a plugin, busy, hung or stopped, and no file.
func TestHostKilled(t *testing.T) {
	for _, mode := range []string{"", "sleep", "spin", "sigstop"} {
		t.Run(mode, func(t *testing.T) {
			temp := t.TempDir()
			host := exec.Command(os.Args[0], "-test.run", "^TestHost$", "-test.v")
			host.Env = append(os.Environ(), hostMode+"="+mode, pluginPath+"="+testPlugin, "TMPDIR="+temp)
			out, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			pid := 0
			for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
				if n, ok := strings.CutPrefix(lines.Text(), "plugin "); ok {
					pid, _ = strconv.Atoi(n)
				}
			}
			time.Sleep(20 * time.Millisecond) // into the call
			if err := host.Process.Kill(); err != nil || pid == 0 {
				t.Fatal(err, pid)
			}
			start := time.Now()
			_, _ = io.Copy(io.Discard, out)
			_ = host.Wait()
			for runs(pid) && time.Since(start) < 10*time.Second {
				time.Sleep(time.Millisecond)
			}
			t.Logf("the plugin ended %v after its engine", time.Since(start).Round(time.Millisecond))
			if runs(pid) {
				t.Errorf("plugin %d is still there", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			if files, _ := os.ReadDir(temp); len(files) > 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

// Signals that go to all processes of a terminal or a service are the engine's alone; and the plugin starts where the
// name of the directory for temporary files is too long for a socket.
func TestSignals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	lib := openReference(t)
	s, f := addFrame(t, 1000)
	k, err := lib.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM} {
		if err := syscall.Kill(lib.PID(), signal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		if err := k.Run(f); err != nil {
			t.Fatalf("after %v: %v", signal, err)
		}
	}
}

// TestStopped is the engine of TestHostStopped: one call, of a plugin that takes a while, with a short deadline.
func TestStopped(t *testing.T) {
	if os.Getenv(hostMode) != "late" {
		t.Skip("it is the other process of TestHostStopped")
	}
	lib, err := reference(Config{Args: []string{"late"}, Deadline: time.Second}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	s, f := addFrame(t, 1000)
	k, err := lib.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for range 3 {
		if err := k.Run(f); err != nil {
			t.Fatal(err)
		}
	}
}

// An engine that was stopped for longer than a call may take does not blame its plugins.
func TestHostStopped(t *testing.T) {
	host := exec.Command(os.Args[0], "-test.run", "^TestStopped$", "-test.v")
	host.Env = append(os.Environ(), hostMode+"=late", pluginPath+"="+testPlugin)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	time.Sleep(50 * time.Millisecond) // into the first call
	_ = host.Process.Signal(syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond)
	_ = host.Process.Signal(syscall.SIGCONT)
	rest, _ := io.ReadAll(out)
	if err := host.Wait(); err != nil {
		t.Errorf("%v: %s", err, rest)
	}
}

// runs tells whether there is a process that has not ended; whether somebody has asked how does not matter.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A plugin that is killed or stopped at some moment is a fault of the call in hand or of the next one, and whatever
// has been answered before is right. A library opened anew goes on.
func TestKilledAtRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for round := range 12 {
		stop := round%3 == 2
		func() {
			clean(t)
			c := Config{Deadline: time.Minute}
			if stop {
				c.Deadline = 300 * time.Millisecond
			}
			lib, err := reference(c).Open(kernels.SameThreads(1))
			if err != nil {
				t.Fatal(err)
			}
			defer lib.Close()
			s, f := addFrame(t, 5000)
			k, err := lib.Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			signal := syscall.SIGKILL
			if stop {
				signal = syscall.SIGSTOP
			}
			sent := make(chan time.Time, 1)
			pid := lib.(*Library).PID()
			time.AfterFunc(time.Duration(rng.IntN(20_000))*time.Microsecond, func() {
				_ = syscall.Kill(pid, signal)
				sent <- time.Now()
			})
			for {
				clear(f.Bufs[2])
				if err = k.Run(f); err != nil {
					break
				}
				if want := []float32{5000, 5002}; !slices.Equal(f.Bufs[2][:2], want) || f.Bufs[2][4999] != 4999+9999 {
					t.Fatalf("%v, want %v", f.Bufs[2][:2], want)
				}
			}
			t.Logf("%v noticed after %v: %v", signal, time.Since(<-sent).Round(10*time.Microsecond), err)
			var fault *kernels.Fault
			if !errors.As(err, &fault) || stop && fault.Kind != kernels.Hang || !stop && fault.Kind != kernels.Crash {
				t.Errorf("after %v: %v", signal, err)
			}
			if f.Bufs[2][0] != 0 || f.Bufs[0][1] != 1 {
				t.Error("the call that failed has changed something")
			}
		}()
	}
}

// Kernels, arenas and caches that come and go leave nothing in either process.
func TestComingAndGoing(t *testing.T) {
	lib := openReference(t)
	count := func(pid string) (files, maps int) {
		t.Helper()
		fds, err := os.ReadDir("/proc/" + pid + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		m, err := os.ReadFile("/proc/" + pid + "/maps")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds), strings.Count(string(m), "memfd:")
	}
	weight := &kernels.Weight{Name: "w", In: 50, Out: 60, F: make([]float32, 50*60)}
	round := func() {
		arena, err := tensor.NewArena("test", 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		defer arena.Close()
		rng := rand.New(rand.NewPCG(1, 2))
		a := newAttention(t, true, false, 0, 1)
		for i := range a.frame.Cache.Layers {
			l := &a.frame.Cache.Layers[i]
			l.K16, l.V16 = halfs(t, rng, arena, len(l.K16)), halfs(t, rng, arena, len(l.V16))
		}
		for _, s := range []struct {
			segment kernels.Segment
			frame   *kernels.Frame
		}{
			{a.segment, &a.frame},
			{multiply(weight), &kernels.Frame{Rows: kernels.Rows{N: 1}, Bufs: [][]float32{floats(t, rng, arena, 50), floats(t, rng, arena, 60)}}},
		} {
			k, err := lib.Compile(s.segment)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Run(s.frame); err != nil {
				t.Fatal(err)
			}
			if err := k.(*Kernel).Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	pid := strconv.Itoa(lib.PID())
	var before, after [4]int
	for i := range 150 {
		round()
		switch i {
		case 9:
			lib.collect(true)
			before[0], before[1] = count("self")
			before[2], before[3] = count(pid)
		case 149:
			lib.sweeps.Wait()
			lib.collect(true)
			after[0], after[1] = count("self")
			after[2], after[3] = count(pid)
		}
	}
	for i := range before {
		if after[i] > before[i] {
			t.Errorf("files and mappings here and there: %v, before %v", after, before)
			break
		}
	}
}

// A program that ends and leaves another one with both of its outputs is told of at once.
func TestOutputsHeldByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 30 &\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Describe(t.Context(), Config{Path: path})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want an error that names %s", err, path)
		}
	case <-time.After(20 * time.Second):
		t.Error("20 seconds after it has ended, it is still waited for")
	}
}
