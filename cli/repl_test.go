package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chzyer/readline"

	"troupe/kernels"
	"troupe/router"
	"troupe/stages/place"
	"troupe/stages/sample"
	"troupe/stages/sched"
)

// typed is a line editor with the lines already typed.
type typed struct{ lines []string }

func (l *typed) Readline() (string, error) {
	if len(l.lines) == 0 {
		return "", io.EOF
	}
	line := l.lines[0]
	l.lines = l.lines[1:]
	if line == "^C" {
		return "", readline.ErrInterrupt
	}
	return line, nil
}

// lockedBuffer may be read while somebody writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launchDemo starts an engine with the embedded demo.
func launchDemo(t *testing.T, p *program) (*generator, *steering) {
	t.Helper()
	dir, err := modelDir("")
	if err != nil {
		t.Fatal(err)
	}
	l := launch{dir: dir, host: &host{}, arith: kernels.Exact, limits: sched.Config{Rows: 16, Sequences: 1}}
	if l.config, err = dir.config(); err != nil {
		t.Fatal(err)
	}
	if l.placement.Plan, err = place.Make(l.config, []place.Device{{Name: "cpu", Threads: 1}}, place.Options{}); err != nil {
		t.Fatal(err)
	}
	l.limit(nil, false)
	session, err := p.start(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	g := &generator{engine: session.fleet, config: l.config}
	if g.tokenizer, err = dir.tokenizer(); err != nil {
		t.Fatal(err)
	}
	return g, session.watch.steering
}

// replOf is the interactive mode on the demo, greedy.
func replOf(t *testing.T, in *interrupts, stdout, stderr io.Writer, maxTokens int) *repl {
	t.Helper()
	p := newProgram(in, nil, stdout, stderr)
	params := sample.Defaults()
	params.Temperature = 0
	s := sampling{maxTokens: maxTokens, params: params, ignoreEOS: true, policy: router.Uniform(2)}
	g, kernels := launchDemo(t, p)
	r := &repl{program: p, generator: g, kernels: kernels, settings: s, initial: s}
	t.Cleanup(r.endSwaps)
	return r
}

func TestRepl(t *testing.T) {
	const heading = "Tale: The Lost Lantern"
	var stdout bytes.Buffer
	var stderr lockedBuffer
	r := replOf(t, &interrupts{}, &stdout, &stderr, 8)
	policy := filepath.Join(t.TempDir(), "policy.txt")
	if err := os.WriteFile(policy, []byte("3 # experts\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := r.loop(t.Context(), &typed{[]string{
		"", "  ", "/help", "/hlep", "/experts", "/experts 9", "/temperature warm", "/temperature -1", "/top-p 0", "/top-k x", "/seed -1", "/max-tokens 0", "/quit now", "/more",
		heading, "/max-tokens 4", "/more", "/experts 1", "/settings", "/experts @" + policy, "/settings", "/reset", "/settings", "/stats", "^C",
		"/temperature 0.5", "/top-p 0.9", "/top-k 7", "/min-p 0.1", "/seed 3", heading,
		"/rollback", "/kernels", "/swap", "/swap nothing", "/swap add=ref", "/quit", "never read"}})
	out, log := stdout.String(), stderr.String()
	if err != nil {
		t.Fatal(err, log)
	}
	for _, want := range []string{
		"/experts [SPEC]", "unknown command /hlep: did you mean /help?", "Layer  Tokens  Used  Entropy  Margin", `/experts: router: experts "9"`,
		`/temperature: "warm": want a number`, "/temperature: sample: temperature -1", "/top-p: sample: top-p 0", `/top-k: "x": want an integer`,
		`/seed: "-1": want an integer from 0`, `/max-tokens: "0": want an integer from 1`, "/quit: it takes no argument", "/more: no text yet",
		"experts 3, temperature 0", "experts 1, temperature 0, top-p 1, top-k 0, min-p 0, seed 42, max-tokens 4", "experts 2, temperature 0, top-p 1, top-k 0, min-p 0, seed 42, max-tokens 8",
		"stage 0: layers 0-5", "12 tokens made", "Ctrl-D or /quit leaves", "temperature 0.5, seed 3", "8 tokens in", "finish length",
		"/rollback: actors: ", "\nbinding     the best library for everything\n", "/swap: want /swap BINDING", `/swap: kernels: library "nothing" unknown`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log, "promoted") {
		t.Errorf("a swap without batches was promoted:\n%s", log)
	}
	whole := troupe(t, "", "run", "-q", "--temperature", "0", "--arith", "exact", "--max-tokens", "12", heading).ok(t).out
	first, more, _ := strings.Cut(strings.TrimPrefix(out, "\n\n"), "\n")
	second, _, _ := strings.Cut(more, "\n")
	if got := "\n\n" + first + second; got != whole {
		t.Errorf("8 tokens and 4 more: %q, want %q", got, whole)
	}
}

// TestReplInterrupted ends a text by Ctrl-C, and nothing else.
func TestReplInterrupted(t *testing.T) {
	var asked int
	in := &interrupts{exit: func(int) { t.Error("exit") }}
	in.catch(func() { asked++ })
	var log bytes.Buffer
	r := replOf(t, in, &watched{after: 20, then: in.signal}, &log, 900)
	if err := r.loop(t.Context(), &typed{[]string{"Tale: The Lost Lantern", "/max-tokens 2", "Tale:"}}); err != nil {
		t.Fatal(err)
	}
	if asked != 0 || strings.Count(log.String(), "finish cancelled") != 1 || strings.Count(log.String(), "finish length") != 1 {
		t.Errorf("program asked %d times to stop:\n%s", asked, log.String())
	}
}

// TestReplEnds ends with its context, as SIGTERM does it.
func TestReplEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := replOf(t, &interrupts{}, io.Discard, io.Discard, 8)
	cancel(errInterrupted)
	if err := r.loop(ctx, &typed{}); err != errInterrupted {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
}
