//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"troupe/actors"
	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/kernels"
	"troupe/model/demo"
	"troupe/plugins"
	"troupe/router"
	"troupe/stages/place"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// live is the demo model on an engine, with plugins in processes of their own.
type live struct {
	*actors.Engine
	t *testing.T

	mu     sync.Mutex
	events []actors.KernelEvent
}

// startLive starts an engine of two stages; options may be changed before.
func startLive(t *testing.T, binding string, change func(*actors.Options)) *live {
	t.Helper()
	c, err := load.Config(demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	m, err := load.Open(t.Context(), demo.FS(), c, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	devices, err := place.Runnable([]place.Device{{Name: "cpu"}}, kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := place.Make(c, devices, place.Options{Stages: 2})
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t}
	o := actors.Options{Model: c, Weights: m.Weights, Placement: plan, Arith: kernels.Int8, Binding: parseBinding(t, binding),
		Sched:  sched.Config{Rows: 64, Sequences: 4, Queue: 8, Draws: 4, Blocks: 4 * c.SequenceLen / kernels.BlockTokens},
		Events: l.hear}
	if change != nil {
		change(&o)
	}
	if l.Engine, err = actors.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func parseBinding(t *testing.T, s string) kernels.Binding {
	t.Helper()
	b, err := kernels.ParseBinding(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *live) hear(e actors.KernelEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// count is how many events of a step there were.
func (l *live) count(step string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Step == step {
			n++
		}
	}
	return n
}

// prompts are a few beginnings of texts, as ids.
var prompts = [][]int32{{5, 1999, 1336, 844}, {571, 1996, 361, 629}, {346, 383, 1508}, {1055, 668, 1988, 342, 377}}

// make lets a request run to its end, greedily.
func (l *live) make(prompt []int32, n int, each func(made int)) []int32 {
	s, err := l.Submit(l.t.Context(), sched.Request{Prompt: prompt, MaxTokens: n, Params: sample.Params{TopP: 1}, Policy: router.Uniform(2), EOS: -1})
	if err != nil {
		l.t.Error(err)
		return nil
	}
	var made []int32
	for e := range s.Events() {
		if e.Done {
			if e.Finish != sched.Length {
				l.t.Errorf("after %d tokens: %s: %v", len(made), e.Finish, e.Err)
			}
			break
		}
		made = append(made, e.Token)
		if each != nil {
			each(len(made))
		}
	}
	return made
}

// lendBuilt builds plugins of the repository and lends what they have.
func lendBuilt(t *testing.T, c plugins.Config, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		lendFile(t, c, buildPlugin(t, dir, name))
	}
}

func buildPlugin(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", path, "../plugins/"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

func lendFile(t *testing.T, c plugins.Config, path string, args ...string) {
	t.Helper()
	c.Path, c.Args = path, args
	variants, err := plugins.Variants(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variants {
		if err := kernels.Lend(v); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kernels.Return(v.Name) })
	}
}

// lendC builds the example in C with its host and lends it; false: there is no C compiler.
func lendC(t *testing.T) bool {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Log("without the kernel in C: no gcc")
		return false
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "cabi"), "../plugins/cabi")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("without the kernel in C: %v\n%s", err, out)
		return false
	}
	object := filepath.Join(dir, "expert.so")
	if out, err := exec.Command(cc, "-std=c11", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-I", "../plugins/cabi",
		"-o", object, "../plugins/cabi/example/expert.c", "-lm").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lendFile(t, plugins.Config{}, filepath.Join(dir, "cabi"), object)
	return true
}

// One long text, while its experts are computed by one process after the other: built in, the fast kernels in
// another process, kernels in C, the definition in another process, and back, twice.
func TestLongTextThroughSwaps(t *testing.T) {
	long(t)
	lendBuilt(t, plugins.Config{}, "cpu", "reference")
	chain := []string{"plugin:cpu", "plugin:reference", "cpu/generic"}
	if lendC(t) {
		chain = slices.Insert(chain, 1, "plugin:expert")
	}
	const base, length = "cpu/generic", 700
	want := startLive(t, base, nil).make(prompts[0], length, nil)

	l := startLive(t, base, nil)
	begun, ended := make(chan struct{}), make(chan struct{})
	var swaps sync.WaitGroup
	done := 0
	swaps.Go(func() {
		<-begun
		for i := range 2 * len(chain) {
			select {
			case <-ended:
				return
			default:
			}
			if err := l.Swap(t.Context(), actors.Change{Binding: parseBinding(t, "expert="+chain[i%len(chain)])}); err != nil {
				t.Errorf("swap %d, to %s: %v", i, chain[i%len(chain)], err)
			}
			done++
		}
	})
	got := l.make(prompts[0], length, func(made int) {
		if made == 5 {
			close(begun)
		}
	})
	close(ended)
	swaps.Wait()
	if !slices.Equal(got, want) {
		t.Errorf("%d tokens, not those of an undisturbed run: %v, want %v", len(got), got, want)
	}
	if n := l.count(actors.StepPromote); n != done || done < len(chain) {
		t.Errorf("%d promotions of %d swaps, want %d", n, done, 2*len(chain))
	}
	if n := l.count(actors.StepMismatch) + l.count(actors.StepFault) + l.count(actors.StepRollback); n > 0 {
		t.Errorf("%d mismatches, faults and roll-backs: %+v", n, l.events)
	}
}

// One wrong sign in one layer of another process: found beside the library that serves, and never promoted; or, if
// it comes only later, found by the first batch that is verified, with the generations that ran under it.
func TestLiar(t *testing.T) {
	long(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "liar")
	if out, err := exec.Command("go", "build", "-o", path, "./testdata/liar").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const length = 200
	want := startLive(t, "", nil).make(prompts[0], length, nil)
	swap := func(t *testing.T, from string, fraction float64) (l *live, made []int32, err error) {
		lendFile(t, plugins.Config{}, path, "4", from)
		l = startLive(t, "", func(o *actors.Options) { o.VerifyFraction = fraction })
		var swapped sync.WaitGroup
		made = l.make(prompts[0], length, func(made int) {
			if made == 5 {
				swapped.Go(func() {
					err = l.Swap(t.Context(), actors.Change{Binding: parseBinding(t, "add=plugin:liar"), Shadow: 2})
				})
			}
		})
		swapped.Wait()
		return l, made, err
	}
	t.Run("at once", func(t *testing.T) {
		l, made, err := swap(t, "0", 0)
		if err == nil || !strings.Contains(err.Error(), "add layer 4 row 0 element 0") || l.count(actors.StepPromote) > 0 {
			t.Errorf("%v, events %+v: want a roll-back that names the place", err, l.events)
		}
		if !slices.Equal(made, want) || len(l.Suspects()) > 0 {
			t.Errorf("%v, want %v; doubts %v", made, want, l.Suspects())
		}
	})
	t.Run("after promotion", func(t *testing.T) {
		l, made, err := swap(t, "10", 0.1)
		if err != nil {
			t.Fatal(err)
		}
		for len(l.Suspects()) == 0 { // the text may have ended before a batch was verified
			l.make(prompts[1], length, nil)
		}
		l.await(func() bool { return l.count(actors.StepRollback) > 0 })
		for _, e := range l.events {
			if e.Step == actors.StepMismatch && (e.Worst.Op != kernels.Add || e.Worst.Layer != 4) {
				t.Errorf("%+v, want add in layer 4", e)
			}
		}
		if s := l.Suspects()[0]; s.Library != "plugin:liar" || s.To < s.From || !strings.Contains(s.Reason, "add layer 4") {
			t.Errorf("%+v", s)
		}
		if !slices.Equal(made[:6], want[:6]) {
			t.Errorf("tokens before the swap: %v, want %v", made[:6], want[:6])
		}
		if got := l.make(prompts[0], length, nil); !slices.Equal(got, want) {
			t.Errorf("after the roll-back: %v, want %v", got, want)
		}
	})
}

// A plugin that computes experts is killed, stopped and made to crash, at random moments: every request ends
// with the tokens of an undisturbed run.
func TestKilledAtRandomMoments(t *testing.T) {
	long(t)
	const deadline = 200 * time.Millisecond
	lendBuilt(t, plugins.Config{Deadline: deadline}, "cpu")
	const binding, length = "expert=plugin:cpu", 300
	var want [][]int32
	quiet := startLive(t, "", nil)
	for _, p := range prompts {
		want = append(want, quiet.make(p, length, nil))
	}
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGSTOP} {
		t.Run(how.String(), func(t *testing.T) {
			l := startLive(t, binding, func(o *actors.Options) { o.MaxFaults, o.Backoff = 1<<30, time.Millisecond })
			stop := make(chan struct{})
			var requests sync.WaitGroup
			for i, p := range prompts {
				requests.Go(func() {
					for {
						if got := l.make(p, length, nil); !slices.Equal(got, want[i]) {
							t.Errorf("%v: %v, want %v", p, got, want[i])
						}
						select {
						case <-stop:
							return
						default:
						}
					}
				})
			}
			end := sync.OnceFunc(func() { // in any case: requests report to t
				close(stop)
				requests.Wait()
			})
			defer end()
			rng := rand.New(rand.NewPCG(uint64(how), 1))
			for range moments() {
				pid := l.servingPID("plugin:cpu")
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
				before := l.count(actors.StepFault)
				gone := func() bool { return syscall.Kill(pid, 0) != nil }
				if err := syscall.Kill(pid, how); err != nil && !gone() {
					t.Fatal(err)
				}
				// A busy machine may have had it found too slow, and ended, just before.
				l.await(func() bool { return l.count(actors.StepFault) > before || gone() })
			}
			if n := l.count(actors.StepFault); n == 0 {
				t.Error("no fault")
			}
			end()
			l.logLost(how, deadline)
		})
	}
}

// await waits for something that has to come.
func (l *live) await(what func() bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); !what(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			l.t.Fatalf("a minute has passed; events: %+v", l.events)
		}
	}
}

// servingPID waits until a library serves, and returns its process.
func (l *live) servingPID(library string) (pid int) {
	l.t.Helper()
	l.await(func() bool {
		s, err := l.Kernels(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		if s.Swap != nil {
			return false
		}
		for _, lib := range s.Libraries {
			if strings.HasPrefix(lib.Library, library) && !lib.Failed && len(lib.PIDs) == 1 {
				pid = lib.PIDs[0]
			}
		}
		return pid > 0
	})
	return pid
}

// logLost reports the time that faults cost the stream.
func (l *live) logLost(how syscall.Signal, deadline time.Duration) {
	var lost []time.Duration
	for _, e := range l.events {
		if e.Step == actors.StepFault {
			lost = append(lost, e.Lost)
		}
	}
	slices.Sort(lost)
	if n := len(lost); n > 0 {
		l.t.Logf("%v: %d faults, lost from the call on: median %v, most %v (deadline %v)", how, n, lost[n/2], lost[n-1], deadline)
	}
}

// An engine that is killed leaves no plugin, no socket and no file behind.
func TestKilledEngineLeavesNothing(t *testing.T) {
	long(t)
	dir, tmp := t.TempDir(), t.TempDir()
	program := filepath.Join(dir, "troupe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	plugin := buildPlugin(t, dir, "cpu")
	cmd := exec.Command(program, "run", "--plugin", plugin, "--kernels", "expert=plugin:cpu", "--ignore-eos", "--max-tokens", "1000", "--prompts", "-")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		fmt.Fprintln(in, `{"prompt": "Tale:", "max_tokens": 1000}`)
	}
	in.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil { // the first result: others are on their way
		t.Fatal(err)
	}
	running := func() (pids []string) {
		names, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, name := range names {
			if exe, err := os.Readlink(name); err == nil && strings.HasPrefix(exe, plugin) {
				pids = append(pids, filepath.Base(filepath.Dir(name)))
			}
		}
		return pids
	}
	if len(running()) == 0 {
		t.Fatal("no plugin runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is that it was killed
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left, _ := os.ReadDir(tmp)
		if len(running()) == 0 && len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after 2 seconds: plugins %v, files %v", running(), left)
		}
	}
}
