package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/lmittmann/tint"
)

// logParts are the parts of the program that keep a log.
var logParts = []string{"actors", "cli", "ckpt", "plugins"}

// logs makes a logger for each part, with a level of its own.
type logs struct {
	w      io.Writer
	colour bool
	level  slog.Level
	parts  map[string]slog.Level
}

func newLogs(w *console) *logs {
	return &logs{w: w, colour: w.terminal && os.Getenv("NO_COLOR") == "", level: slog.LevelWarn, parts: map[string]slog.Level{}}
}

// configure reads --log-level and --log.
func (l *logs) configure(level, parts string, quiet bool) error {
	if quiet {
		l.level = slog.LevelError
	}
	var err error
	if level != "" {
		if l.level, err = parseLevel(level); err != nil {
			return badFlag("log-level", err)
		}
	}
	if parts == "" {
		return nil
	}
	for item := range strings.SplitSeq(parts, ",") {
		part, level, ok := strings.Cut(strings.TrimSpace(item), "=")
		switch {
		case !ok:
			return badFlag("log", fmt.Errorf("%q: want PART=LEVEL, as actors=debug", item))
		case !slices.Contains(logParts, part):
			return badFlag("log", fmt.Errorf("unknown part %q, want one of %s%s", part, strings.Join(logParts, ", "), didYouMean("", part, logParts)))
		}
		if l.parts[part], err = parseLevel(level); err != nil {
			return badFlag("log", fmt.Errorf("%s: %w", part, err))
		}
	}
	return nil
}

// hush keeps a part to errors, unless --log says otherwise: what it warns of is told in another way.
func (l *logs) hush(part string) {
	if _, own := l.parts[part]; !own {
		l.parts[part] = max(l.level, slog.LevelError)
	}
}

// part is the logger of a part, whose lines name it.
func (l *logs) part(name string) *slog.Logger { return l.plain(name).With("part", name) }

// plain is the logger for a part that puts its name in itself.
func (l *logs) plain(name string) *slog.Logger {
	level, own := l.parts[name]
	if !own {
		level = l.level
	}
	h := tint.NewTextHandler(l.w, &tint.Options{Level: level, NoColor: !l.colour, TimeFormat: "15:04:05.000", ReplaceAttr: noStack})
	return slog.New(h)
}

// noStack drops stack traces: they help nobody at a command line.
func noStack(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "stack" {
		return slog.Attr{}
	}
	return a
}

func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "":
		return 0, errors.New("no level: want debug, info, warn or error")
	}
	return 0, fmt.Errorf("level %q: want debug, info, warn or error", s)
}
