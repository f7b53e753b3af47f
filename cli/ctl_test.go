package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"troupe/actors"
	"troupe/internal/control"
	"troupe/kernels"
	"troupe/router"
	"troupe/stages"
)

// toyEngine is steered without computing anything.
type toyEngine struct {
	steering *steering
	events   []kernelEvent // of every swap
	fail     error         // of every swap
	block    chan struct{} // if set, a swap closes it and waits for the end of its context

	mu    sync.Mutex
	asked []string
	count *router.Counters
}

func (e *toyEngine) note(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, s)
}

func (e *toyEngine) swap(ctx context.Context, b kernels.Binding, shadow int) error {
	e.note("swap " + b.String())
	if shadow != 0 {
		e.note(counted(shadow, "batch", "batches"))
	}
	for _, event := range e.events {
		e.steering.publish(event)
	}
	if e.block != nil {
		close(e.block)
		<-ctx.Done()
		e.note("cancelled")
		return context.Cause(ctx)
	}
	return e.fail
}

func (e *toyEngine) rollback(_ context.Context, reason string) error {
	e.note("rollback: " + reason)
	e.steering.publish(kernelEvent{Step: "rollback", Reason: reason})
	return nil
}

func (e *toyEngine) warm(context.Context, kernels.Binding) error { return nil }

func (e *toyEngine) stats(context.Context) (engineStats, error) {
	return engineStats{Tokens: 7, PromptTokens: 5, Batches: 3, Cache: cacheStats{1, 8, 2}, Devices: []deviceStats{{"cpu", 1.5}}}, nil
}

// routing of two layers of three experts: every call finds one row more.
func (e *toyEngine) company(context.Context) (actors.Company, error) {
	return actors.Company{CreditsHome: 2, Journal: 1000, Stages: []actors.SeatStatus{{Span: stages.Span{Hi: 2}}},
		Devices: []actors.PlaceStatus{{Name: "cpu", Stages: 1}}, Hosts: []actors.HostStatus{{Address: "b:7000", Lost: errors.New("silent for 3s")}}}, nil
}

func (e *toyEngine) move(_ context.Context, p actors.Part, to actors.Target) (actors.Moved, error) {
	e.note(fmt.Sprintf("move %v to %v", p, to))
	return actors.Moved{Parts: []actors.Part{p}, To: to, Replayed: 3, Resent: 1}, e.fail
}

func (e *toyEngine) routing(context.Context) (router.Counters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == nil {
		e.count = router.NewCounters(2, 3, 0, 2)
	}
	var r router.Routing
	r.Reset(3)
	rule := router.Rule{Count: 2}
	probs := []float32{.5, .25, .25}
	if err := r.Add(probs, &rule, router.Place{}); err != nil {
		return router.Counters{}, err
	}
	e.count.Count(0, probs, &r, nil)
	e.count.Count(1, probs, &r, nil)
	return e.count.Clone(), nil
}

func (e *toyEngine) status(context.Context) (kernelStatus, error) {
	return kernelStatus{Generation: 3, Binding: "ref", Previous: "", CanRoll: true,
		Swap:      &swapStatus{Binding: "add=ref", Step: "shadow", Batches: 1, Wanted: 4, Comparisons: 9},
		Libraries: []libraryStatus{{Library: "ref", PIDs: []int{11, 12}, Launches: 40, Share: 0.25, Faults: 1}},
		Suspects:  []suspectStatus{{1, 2, "plugin:bad", "add=plugin:bad", "a wrong sign"}}}, nil
}

// controlled serves a toy engine at an address.
func controlled(t *testing.T, e *toyEngine) (address string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a control socket needs Linux or macOS")
	}
	dir, err := os.MkdirTemp("", "ctl") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	h := &host{}
	e.steering = &steering{engine: e, parse: h.binding, libraries: h.libraries}
	p := newProgram(&interrupts{}, nil, nil, &strings.Builder{})
	end, err := p.serveControl(path, e.steering)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return "unix:" + path
}

func TestCtl(t *testing.T) {
	e := &toyEngine{events: []kernelEvent{
		{Step: "compile", Binding: "add=ref"},
		{Step: "shadow", Binding: "add=ref", Batches: 4, Comparisons: 96, OldMicros: 41.2, NewMicros: 44},
		{Step: "promote", Binding: "add=ref", Generation: 2}}}
	address := controlled(t, e)
	ctl := func(args string) outcome {
		return troupe(t, "", append(strings.Fields("ctl "+args), "--control", address)...)
	}
	for args, want := range map[string]string{
		"kernels swap add=ref":            "kernels: compile: add=ref\nkernels: shadow: add=ref: 4 batches, 96 comparisons, identical; old 41.2 µs, new 44 µs a call\nkernels: promoted: add=ref\n",
		"kernels rollback --reason tired": "kernels: rolled back: tired\n",
		"kernels status":                  "binding     ref\nprevious    the best library for everything\ngeneration  3\nswap        add=ref: shadow, 1 of 4 batches, 9 comparisons\nsuspect     generations 1 to 2: plugin:bad: a wrong sign\n\nLibrary",
		"stats":                           "  7 tokens made, 5 prompt tokens read, in 3 batches\n",
		"kernels list":                    "Library ",
	} {
		if o := ctl(args).ok(t); !strings.HasPrefix(o.out, want) || o.err != "" {
			t.Errorf("%s: %q%s, want %q", args, o.out, o.err, want)
		}
	}
	if o := ctl("kernels status").ok(t); !strings.Contains(o.out, "\nref      11 12        40  25.0 %") {
		t.Errorf("%s", o.out)
	}
	events := strings.Split(ctl("kernels swap add=ref --shadow 0 --json").ok(t).out, "\n")
	var shadow kernelEvent
	var s kernelStatus
	if err := errors.Join(json.Unmarshal([]byte(events[1]), &shadow), json.Unmarshal([]byte(events[3]), &s)); err != nil || shadow.Comparisons != 96 || s.Generation != 3 {
		t.Errorf("%q: %v", events, err)
	}
	var stats engineStats
	if err := json.Unmarshal([]byte(ctl("stats --json").ok(t).out), &stats); err != nil || stats.Tokens != 7 {
		t.Errorf("%+v, %v", stats, err)
	}
	for _, want := range []string{"swap add=ref", "-1 batches", "rollback: tired"} {
		if !slices.Contains(e.asked, want) {
			t.Errorf("%q, want %q among them", e.asked, want)
		}
	}
	for args, want := range map[string]string{
		"kernels swap addd=ref":       `binding "addd=ref": op "addd"`,
		"kernels swap nothing":        `library "nothing" unknown`,
		"kernels swap add=plugin:bad": `library "plugin:bad": no plugins found`,
	} {
		if o := ctl(args); o.code != exitFailed || !strings.Contains(o.err, want) {
			t.Errorf("%s: exit %d: %s, want %q", args, o.code, o.err, want)
		}
	}
	for _, first := range []string{"ctl", "ctl kernels"} { // the flag may stand anywhere
		args := append(append(strings.Fields(first), "--control", address), strings.Fields(strings.TrimPrefix("ctl kernels status", first))...)
		troupe(t, "", args...).ok(t)
	}
	t.Setenv("TROUPE_CONTROL", address)
	troupe(t, "", "ctl", "stats").ok(t)
}

// TestCtlRolledBack: a swap that is rolled back fails, with the reason.
func TestCtlRolledBack(t *testing.T) {
	e := &toyEngine{fail: errors.New("actors: swap: rolled back: attend layer 3 row 0 element 1: got 1.25, want -1.25"),
		events: []kernelEvent{{Step: "rollback", Binding: "attend=ref", Reason: "attend layer 3 row 0 element 1: got 1.25, want -1.25"}}}
	o := troupe(t, "", "ctl", "kernels", "swap", "attend=ref", "--control", controlled(t, e))
	if o.code != exitFailed || !strings.HasPrefix(o.out, "kernels: rolled back: attend=ref: attend layer 3") || !strings.Contains(o.err, "got 1.25, want -1.25") {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
}

// TestCtlCancelled: Ctrl-C takes the swap back.
func TestCtlCancelled(t *testing.T) {
	e := &toyEngine{block: make(chan struct{})}
	address := controlled(t, e)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-e.block
		cancel(errInterrupted)
	}()
	o := troupeContext(ctx, "", "ctl", "kernels", "swap", "ref", "--control", address)
	if o.code != exitFailed || o.err != "troupe: cancelled\n" {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	e.block = nil
	troupe(t, "", "ctl", "stats", "--control", address).ok(t)
}

// TestControlRequests: arguments of one request are not taken for another.
func TestControlRequests(t *testing.T) {
	s := &steering{engine: &toyEngine{}, parse: (&host{}).binding}
	shadow, many := 1, maxShadow+1
	for _, test := range []struct {
		do, binding, reason string
		shadow              *int
		want                string
	}{
		{"status", "ref", "", nil, "these are of a swap"},
		{"stats", "", "", &shadow, "these are of a swap"},
		{"experts", "ref", "", nil, "these are of a swap"},
		{"swap", "ref", "x", nil, "that is of a rollback"},
		{"swap", "", "", nil, "a swap without a binding"},
		{"swap", "ref", "", &many, "shadow 1000001, want 0 (none) to 1000000"},
		{"stop", "", "", nil, `do "stop", want one of swap, rollback, status, stats, experts, list`},
	} {
		_, err := s.handle(t.Context(), control.Request{Do: test.do, Binding: test.binding, Reason: test.reason, Shadow: test.shadow}, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test, err, test.want)
		}
	}
}

// TestListenersNeverWait: a listener that stands still loses events, and is told how many.
func TestListenersNeverWait(t *testing.T) {
	s := &steering{}
	began, goOn := make(chan bool), make(chan bool)
	var last kernelEvent
	n := 0
	stop := s.listen(func(e kernelEvent) error {
		if n++; n == 1 {
			close(began)
			<-goOn
		}
		last = e
		return nil
	})
	s.publish(kernelEvent{Step: "shadow"})
	<-began
	for range maxPending + 5 {
		s.publish(kernelEvent{Step: "shadow"})
	}
	close(goOn)
	stop()
	if n != maxPending+2 || last.Step != "dropped" || last.Reason != "5 events came too fast to be told" {
		t.Errorf("%d events, the last %+v", n, last)
	}
	s.publish(kernelEvent{}) // to nobody
}
