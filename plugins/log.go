package plugins

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// journal takes what a plugin writes and what go-plugin says of it, and passes on so much of it that a flood does
// not fill the log.
type journal struct {
	log *slog.Logger

	mu      sync.Mutex
	second  time.Time
	lines   int // in that second
	dropped int
	cause   string // the first line of a panic or signal that the process wrote
	last    string // the last line
}

const (
	linesPerSecond = 50
	maxLine        = 1 << 10
)

// say passes a line on, or counts it as dropped.
func (j *journal) say(level slog.Level, line string, args ...any) {
	j.mu.Lock()
	now := time.Now()
	var dropped int
	if now.Sub(j.second) > time.Second {
		j.second, j.lines, dropped, j.dropped = now, 0, j.dropped, 0
	}
	j.lines++
	full := j.lines > linesPerSecond
	if full {
		j.dropped++
	}
	j.mu.Unlock()
	if dropped > 0 {
		j.log.Warn("plugin wrote too much: lines left out", "lines", dropped)
	}
	if !full {
		j.log.Log(context.Background(), level, clip(line), args...)
	}
}

func clip(s string) string { return printable(s, maxLine) }

// deadly begin the lines that Go programs end with.
var deadly = []string{"panic: ", "fatal error: ", "SIG", "runtime: "}

// heard remembers a line that the process wrote, if it says more about its end than those before.
func (j *journal) heard(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = clip(line)
	if j.cause == "" && slices.ContainsFunc(deadly, func(d string) bool { return strings.HasPrefix(line, d) }) {
		j.cause = j.last
	}
}

// reason is the line that says most about the process's end, or "".
func (j *journal) reason() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return cmp.Or(j.cause, j.last)
}

// Accept is hclog.SinkAdapter's: what go-plugin says.
func (j *journal) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if level <= hclog.Trace {
		return
	}
	j.say(slog.LevelDebug, msg, args...) // errors of a plugin come to their callers; what is here is detail
}

func (j *journal) hclog() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug, Name: "plugins"})
	l.RegisterSink(j)
	return l
}

// lines calls say for every line that is written to it.
type lines struct {
	say  func(string)
	rest []byte
}

// Write is io.Writer's; it keeps no more than a line.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, after, whole := bytes.Cut(b, []byte("\n"))
		if room := maxLine - len(l.rest); room > 0 {
			l.rest = append(l.rest, line[:min(len(line), room)]...)
		}
		if whole {
			if len(l.rest) > 0 {
				l.say(string(l.rest))
			}
			l.rest = l.rest[:0]
		}
		b = after
	}
	return n, nil
}

// written passes on what the plugin's kernels print.
func (j *journal) written() io.Writer {
	return &lines{say: func(s string) { j.say(slog.LevelInfo, fmt.Sprint("plugin: ", s)) }}
}
