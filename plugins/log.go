package plugins

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
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
	last    []string // that the process wrote, for the error of its end
}

const (
	linesPerSecond = 50
	maxLine        = 1 << 10
	lastLines      = 40
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

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxLine)], "?") }

// heard remembers a line that the process wrote.
func (j *journal) heard(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.last) == lastLines {
		j.last = append(j.last[:0], j.last[1:]...)
	}
	j.last = append(j.last, clip(line))
}

// reason is the line that says most about the process's end, or "".
func (j *journal) reason() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.last {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIG") || strings.HasPrefix(line, "runtime: ") {
			return line
		}
	}
	if len(j.last) > 0 {
		return j.last[len(j.last)-1]
	}
	return ""
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
