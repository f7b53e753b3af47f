//go:build linux

package plugins

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"troupe/kernels"
	"troupe/tensor"
)

// leftovers is what a plugin may leave behind in this process.
type leftovers struct {
	files, maps, regions int
	temp                 []string
	goroutines           goleak.Option
}

// clean says what there is now and has it be the same at the test's end.
func clean(t *testing.T) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	before := remains(t)
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		goleak.VerifyNone(t, before.goroutines)
		after := remains(t)
		if after.files > before.files || after.maps > before.maps || after.regions != before.regions || len(after.temp) > 0 {
			t.Errorf("left behind: %+v, before %+v", after, before)
		}
	})
}

func remains(t *testing.T) leftovers {
	t.Helper()
	l := leftovers{regions: tensor.Regions(), goroutines: goleak.IgnoreCurrent()}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	l.files = len(fds)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	l.maps = strings.Count(string(maps), "troupe-")
	temp, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range temp {
		l.temp = append(l.temp, e.Name())
	}
	return l
}

// alive tells whether there is a process of that number, a zombie included.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// A kernel that misbehaves is a fault of its kind, its inputs stay, the library is lost, nothing is left behind.
func TestFaults(t *testing.T) {
	const patient, short = 20 * time.Second, 400 * time.Millisecond
	for _, c := range []struct {
		mode     string
		deadline time.Duration
		kind     kernels.FaultKind
		want     string // part of the error
	}{
		{"panic", patient, kernels.Crash, "a test of panics"},
		{"nil", patient, kernels.Crash, "nil pointer"},
		{"wild", patient, kernels.Crash, "memory fault at"},
		{"segv", patient, kernels.Crash, "SIGSEGV"},
		{"sigill", patient, kernels.Crash, "SIGILL"},
		{"sigkill", patient, kernels.Crash, "killed"},
		{"sigstop", short, kernels.Hang, "no "},
		{"leave", patient, kernels.Crash, "exit status 0"},
		{"sleep", short, kernels.Hang, "no answer within"},
		{"spin", short, kernels.Hang, "no "},
		{"error", patient, kernels.Crash, "a test of errors"},
		{"long error", patient, kernels.Crash, "long long"},
		{"other panic", patient, kernels.Crash, "in another goroutine"},
		{"input", patient, kernels.Crash, "memory fault at"},
		{"lazy", patient, kernels.Lie, "not written"},
		{"nan", patient, kernels.Lie, "NaN"},
		{"inf", patient, kernels.Lie, "-Inf"},
		{"status", patient, kernels.Lie, "status 77"},
		{"no status", patient, kernels.Lie, "status 0"},
		{"number", patient, kernels.Lie, "answered as call 123456"},
		{"long text", patient, kernels.Crash, "without a word"},
		{"grandchild", patient, kernels.Crash, "exit status 4"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			clean(t)
			s, f := addFrame(t, 100)
			before := [][]float32{slices.Clone(f.Bufs[0]), slices.Clone(f.Bufs[1]), slices.Clone(f.Bufs[2])}
			v := reference(Config{Args: []string{c.mode}, Deadline: c.deadline})
			for range 2 { // a new one works, as far as the first did
				lib, err := v.Open(kernels.SameThreads(1))
				if err != nil {
					t.Fatal(err)
				}
				pid := lib.(*Library).PID()
				k, err := lib.Compile(s)
				if err != nil {
					t.Fatal(err)
				}
				err = runUntilFault(k, f)
				var fault *kernels.Fault
				if !errors.As(err, &fault) || fault.Kind != c.kind || !strings.Contains(err.Error(), c.want) || fault.Library != "plugin:testplugin/ref" {
					t.Errorf("%v, want a fault of kind %v with %q", err, c.kind, c.want)
				}
				if strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 1000 {
					t.Errorf("%d bytes: %.200q: want one line", len(err.Error()), err.Error())
				}
				for i := range before {
					if i < 2 && !slices.Equal(f.Bufs[i], before[i]) || i == 2 && c.mode != "number" && c.mode != "status" && !slices.Equal(f.Bufs[i], before[i]) {
						t.Errorf("buffer %d has changed", i)
					}
				}
				if err := k.Run(f); !errors.As(err, &fault) || fault.Kind != kernels.Lost {
					t.Errorf("run again: %v, want lost", err)
				}
				if _, err := lib.Compile(s); !errors.As(err, &fault) || fault.Kind != kernels.Lost {
					t.Errorf("compile: %v, want lost", err)
				}
				if err := lib.Close(); err != nil {
					t.Error(err)
				}
				if alive(pid) {
					t.Errorf("process %d is still there", pid)
				}
			}
		})
	}
}

// runUntilFault runs a kernel whose other thread may take a while to spoil an answer.
func runUntilFault(k kernels.Kernel, f *kernels.Frame) error {
	out := slices.Clone(f.Bufs[2])
	for range 100_000 {
		if err := k.Run(f); err != nil {
			copy(f.Bufs[2], out)
			return err
		}
	}
	return nil
}

// What does not harm a call is no fault.
func TestHarmless(t *testing.T) {
	for _, mode := range []string{"truncate", "reopen", "shouting"} {
		t.Run(mode, func(t *testing.T) {
			clean(t)
			lib, err := reference(Config{Args: []string{mode}, Deadline: 20 * time.Second}).Open(kernels.SameThreads(1))
			if err != nil {
				t.Fatal(err)
			}
			s, f := addFrame(t, 10_000)
			k, err := lib.Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				clear(f.Bufs[2])
				if err := k.Run(f); err != nil {
					t.Fatal(err)
				}
				for i, y := range f.Bufs[2] {
					if y != float32(i)+float32(10_000+i) {
						t.Fatalf("element %d is %v", i, y)
					}
				}
			}
			if err := lib.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A program that is no plugin is an error that says which and why, soon.
func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("something else"))
	mode := func(m string) Config { return Config{Path: testPlugin, Args: []string{m}, Start: 5 * time.Second} }
	quick := func(m string) Config { c := mode(m); c.Start = 300 * time.Millisecond; return c }
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"no file", Config{Path: filepath.Join(dir, "nothing")}, "no such file"},
		{"directory", Config{Path: dir}, "a directory"},
		{"not executable", Config{Path: plain}, "not executable"},
		{"text", Config{Path: text}, "exec format error"},
		{"true", Config{Path: "/bin/true"}, "no plugin of troupe"},
		{"device", Config{Path: "/dev/null"}, "not a regular file"},
		{"checksum", Config{Path: testPlugin, Checksum: sum[:]}, "checksum"},
		{"short checksum", Config{Path: testPlugin, Checksum: sum[:5]}, "checksum"},
		{"exit", mode("exit"), "no plugin of troupe"},
		{"garbage", mode("garbage"), "hello, this is no handshake"},
		{"flood", mode("flood first"), "no plugin"},
		{"version", mode("version"), "version"},
		{"cookie", mode("cookie"), "no plugin of troupe"},
		{"address", mode("address"), "want a unix socket"},
		{"elsewhere", mode("elsewhere"), "want a unix socket"},
		{"panic", mode("panic first"), "panic: not today"},
		{"slow", quick("slow"), "no handshake within"},
		{"stopped", quick("stopped first"), "no handshake within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clean(t)
			_, err := Describe(context.Background(), c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.config.Path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q and %s", err, c.want, c.config.Path)
			}
		})
	}
}

// A start that is given up leaves nothing.
func TestStartCancelled(t *testing.T) {
	clean(t)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Describe(ctx, Config{Path: testPlugin, Args: []string{"slow"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
}

// Compiling and closing can fail as well.
func TestCompileAndCloseFaults(t *testing.T) {
	for _, c := range []struct{ mode, compile, close string }{
		{"compile panic", "a test of panics", ""},
		{"compile exit", "exit status 5", ""},
		{"compile sleep", "no answer in time", ""},
		{"close sleep", "", "close"},
		{"close panic", "", "a test of panics"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			clean(t)
			lib, err := reference(Config{Args: []string{c.mode}, Start: 2 * time.Second}).Open(kernels.SameThreads(1))
			if err != nil {
				t.Fatal(err)
			}
			s, _ := addFrame(t, 10)
			if _, err = lib.Compile(s); c.compile == "" && err != nil || c.compile != "" && (err == nil || !strings.Contains(err.Error(), c.compile)) {
				t.Errorf("compile: %v, want %q", err, c.compile)
			}
			if err = lib.Close(); c.close == "" && err != nil || c.close != "" && (err == nil || !strings.Contains(err.Error(), c.close)) {
				t.Errorf("close: %v, want %q", err, c.close)
			}
			if alive(lib.(*Library).PID()) {
				t.Error("the process is still there")
			}
		})
	}
}

// Closing ends what should not be under way any more: with errors, and nothing else.
func TestCloseUnderWay(t *testing.T) {
	for _, mode := range []string{"sleep", "compile sleep", ""} {
		t.Run(mode, func(t *testing.T) {
			clean(t)
			lib, err := reference(Config{Args: []string{mode}, Deadline: time.Minute}).Open(kernels.SameThreads(1))
			if err != nil {
				t.Fatal(err)
			}
			s, f := addFrame(t, 100)
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					k, err := lib.Compile(s)
					for err == nil {
						err = k.Run(f)
						if err == nil && mode == "" {
							_ = k.(*Kernel).Close()
							break
						}
					}
					var fault *kernels.Fault
					if err != nil {
						if !errors.As(err, &fault) {
							t.Errorf("%v, want a fault", err)
						}
						return
					}
				}
			})
			time.Sleep(50 * time.Millisecond)
			if err := lib.Close(); err != nil && mode != "sleep" && mode != "compile sleep" {
				t.Error(err)
			}
			wg.Wait()
			if err := lib.Close(); err != nil {
				t.Errorf("closed twice: %v", err)
			}
		})
	}
}
