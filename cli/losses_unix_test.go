//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// answer is what does not depend on the time in a result.
type answer struct {
	ID     string  `json:"id"`
	Tokens []int32 `json:"tokens"`
	Text   string  `json:"text"`
	Finish string  `json:"finish"`
}

func answersOf(t *testing.T, out string) (all []answer) {
	t.Helper()
	for line := range strings.Lines(out) {
		var a answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b answer) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// someGeese are requests that take a while together.
func someGeese(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "prompts.jsonl")
	var lines strings.Builder
	for i := range 6 {
		fmt.Fprintf(&lines, `{"id": "%d", "prompt": "Tale: The Fox and %d geese", "max_tokens": %d, "seed": %d}`+"\n", i, i, 250+50*i, i)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var lostAt = regexp.MustCompile(`(?m)^(\d\d:\d\d:\d\d\.\d\d\d) \S+ worker lost`)

// said is how often a process has said something.
func (w *aProgram) said(what string) int { return strings.Count(w.err.String(), what) }

// heard keeps what a process writes.
type heard struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.String()
}

// sinceMidnight is the time of day of a line of the log.
func sinceMidnight(t *testing.T, clock string) time.Duration {
	t.Helper()
	at, err := time.Parse("15:04:05.000", clock)
	if err != nil {
		t.Fatal(err)
	}
	return at.Sub(at.Truncate(24 * time.Hour))
}

// Several requests at a time on three workers, each a process, while one of these is killed or frozen at a random moment
// and stages, routers and experts die at random tokens: no request is lost, no byte is another. TROUPE_MOMENTS says how
// often; what it takes is in the log of the test.
func TestNothingIsLost(t *testing.T) {
	long(t)
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	prompts := someGeese(t)
	var workers []*aProgram
	var list []string
	run := func(errs *heard, args ...string) (out string) {
		cmd := exec.Command(path, append([]string{"run", "--ignore-eos", "--prompts", prompts}, args...)...)
		var o bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, errs
		if err := cmd.Run(); err != nil {
			for i, w := range workers {
				t.Logf("worker %d says: %s", i, w.err.String())
			}
			t.Fatalf("%v: %s", err, errs.String())
		}
		return o.String()
	}
	want := answersOf(t, run(&heard{}))
	for range 3 {
		w := startWorker(t)
		workers, list = append(workers, w), append(list, w.address)
	}
	rng := rand.New(rand.NewPCG(8, 4))
	var noticed, recovered []time.Duration
	kills, freezes, deaths := 0, 0, 0
	for turn := range moments() {
		victim, frozen := rng.IntN(3), rng.IntN(2) == 0
		w, at := workers[victim], time.Duration(rng.IntN(500))*time.Millisecond
		over, struck := make(chan struct{}), make(chan time.Time, 1)
		errs := &heard{}
		go func() {
			defer close(struck)
			for !strings.Contains(errs.String(), "INF started") { // who loses a worker before does not start at all
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
				}
			}
			select {
			case <-over:
				return
			case <-time.After(at):
			}
			signal := syscall.SIGKILL
			if frozen {
				signal = syscall.SIGSTOP
			}
			struck <- time.Now()
			_ = w.Process.Signal(signal)
		}()
		report := filepath.Join(t.TempDir(), "report.json")
		out := run(errs, "--insecure", "--log", "actors=info", "--silence", "500ms", "--workers", strings.Join(list, ","), "--chaos", fmt.Sprintf("random:%d,0.004", turn), "--chaos-report", report)
		if got := answersOf(t, out); !reflect.DeepEqual(got, want) {
			t.Errorf("turn %d (worker %d, frozen %v, after %v): other answers: %s", turn, victim, frozen, at, errs.String())
		}
		var r chaosReport
		if raw, err := os.ReadFile(report); err != nil || json.Unmarshal(raw, &r) != nil {
			t.Fatalf("report: %s, %v", raw, err)
		}
		deaths += r.Losses.Deaths
		close(over)
		when, was := <-struck
		if !was {
			continue // the run was over before
		}
		if frozen {
			freezes++
			_ = w.Process.Signal(syscall.SIGCONT)
			for w.said("serving ") > w.said("done with ") {
				time.Sleep(10 * time.Millisecond)
			}
			continue
		}
		kills++
		if m := lostAt.FindStringSubmatch(errs.String()); m != nil {
			clock := sinceMidnight(t, when.UTC().Format("15:04:05.000"))
			if n := sinceMidnight(t, m[1]) - clock; n >= 0 { // of the log in UTC, as here, and not over midnight
				noticed = append(noticed, n)
			}
			recovered = append(recovered, time.Duration(r.Losses.Longest*float64(time.Millisecond)))
		}
		_ = w.Wait()
		workers[victim] = startWorker(t, "--listen", list[victim])
	}
	slices.Sort(noticed)
	slices.Sort(recovered)
	t.Logf("%d kills and %d freezes of workers, %d deaths of parts", kills, freezes, deaths)
	if n := len(noticed); n > 0 {
		t.Logf("noticed after %v in the median, %v at most", noticed[n/2], noticed[n-1])
	}
	if n := len(recovered); n > 0 {
		t.Logf("the longest recovery of a run with a kill: %v in the median, %v at most", recovered[n/2], recovered[n-1])
	}
}
