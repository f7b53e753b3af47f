package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troupe/lab/trace"
	"troupe/router"
)

// Names of domains are whatever a file of texts says: none steers the terminal, breaks a line, or makes one too long.
func TestDomainsAreHostile(t *testing.T) {
	var b strings.Builder
	for i := range 24 { // two of each, so that there are some to judge by
		name := []string{"\x1b[31mred\n\rnext", strings.Repeat("long", 100)}[i%2]
		if i > 3 {
			name = fmt.Sprint("domain-", i/2)
		}
		if err := writeJSON(&b, map[string]string{"text": fmt.Sprint("Tale: The Lost Lantern ", i), "domain": name}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "texts.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"eval", "eval --documents", "experts sweep --counts 1,2 --reps 0 --out " + t.TempDir(), "experts prune --to 6 --by reap",
		"experts heatmap --by domain", "experts trace --show 3"} {
		o := troupe(t, "", append(strings.Fields(args), "--text", file)...).ok(t)
		if i := strings.IndexAny(o.out+o.err, "\x1b\r"); i >= 0 || strings.Contains(o.out, "\nnext") || !strings.Contains(o.out, "red↵") {
			t.Errorf("%s: %s", args, o.out)
		}
		if n := widthOf(o.out); n > 80 {
			t.Errorf("%s: %d columns:\n%s", args, n, o.out)
		}
	}
}

// An interruption ends the wait for an input that nobody writes.
func TestInterruptedInput(t *testing.T) {
	for _, args := range []string{"run", "run --prompts -", "tokenize", "experts trace"} {
		in, writer := io.Pipe()
		ctx, cancel := context.WithCancelCause(t.Context())
		var out, err strings.Builder
		done := make(chan int)
		go func() {
			done <- run(ctx, &interrupts{exit: func(int) {}}, append([]string{"troupe"}, strings.Fields(args)...), in, &out, &err)
		}()
		if _, err := writer.Write([]byte("{")); err != nil { // it is read when this returns
			t.Fatal(err)
		}
		cancel(errInterrupted)
		if code := <-done; code != exitFailed || out.Len() > 0 || err.String() != "troupe: cancelled\n" {
			t.Errorf("%s: exit %d: %s%s", args, code, &out, &err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Tokens that another model made are not spelled by the tokenizer of the embedded demo for want of a name.
func TestRoutingOfAnotherModel(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.routing")
	w, err := trace.Create(name, trace.Header{Model: "another", NumLayers: 1, NumExperts: 2})
	if err != nil {
		t.Fatal(err)
	}
	path := router.Path{Start: []int32{0, 1}, Expert: []int32{1}, Gate: []float32{1}}
	d := &trace.Doc{Tokens: []int32{571, 572}, Rows: []router.RowRouting{{Token: 571, Path: path}}}
	if err := errors.Join(w.Add(d), w.Close()); err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "experts", "trace", "--in", name).ok(t); !strings.HasPrefix(o.out, "571") || !strings.Contains(o.err, "say by --model which model made them") {
		t.Errorf("%s%s", o.out, o.err)
	}
}

// What is interrupted is not wrong usage, wherever it was read.
func TestInterruptedFlag(t *testing.T) {
	var b strings.Builder
	p := newProgram(&interrupts{}, strings.NewReader(""), io.Discard, &b)
	if code := p.report(badFlag("experts", errInterrupted)); code != exitFailed || b.String() != "troupe: cancelled\n" {
		t.Errorf("exit %d: %s", code, b.String())
	}
}
