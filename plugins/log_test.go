package plugins

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A flood of lines does not get to the log; that it was one does. Nothing in a line does anything to a terminal.
func TestJournal(t *testing.T) {
	var out bytes.Buffer
	j := &journal{log: slog.New(slog.NewTextHandler(&out, nil))}
	w := j.written()
	for i := range 1000 {
		fmt.Fprintf(w, "line %d\x1b[31m\n\n", i)
	}
	if n := strings.Count(out.String(), "line"); n != linesPerSecond || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines, want %d: %.200q", n, linesPerSecond, out.String())
	}
	j.second = j.second.Add(-2 * time.Second)
	fmt.Fprint(w, strings.Repeat("x", 1<<20))
	fmt.Fprint(w, "y\n")
	if s := out.String(); !strings.Contains(s, "lines=950") || strings.Count(s, "x") > maxLine+100 || strings.Contains(s, "xy") {
		t.Errorf("%d bytes: %.300q", len(s), s[len(s)-300:])
	}
}

// The line that says how a process ended is found among those that follow it.
func TestReason(t *testing.T) {
	j := &journal{}
	if j.reason() != "" {
		t.Error("nothing was said")
	}
	w := &lines{say: j.heard}
	fmt.Fprint(w, "starting\n")
	if j.reason() != "starting" {
		t.Error(j.reason())
	}
	fmt.Fprint(w, "pan", "ic: a bug\n\ngoroutine 1 [running]:\n", strings.Repeat("more\n", 100))
	if j.reason() != "panic: a bug" {
		t.Error(j.reason())
	}
}
