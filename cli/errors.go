package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"troupe/model"
)

// Exit codes, a promise.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in flags, arguments, environment or settings file.
type usageError struct {
	command string // "run"; "" for the program itself
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usage error of the command at hand.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// badFlag blames the value of a flag.
func badFlag(name string, err error) error { return usagef("--%s: %w", name, err) }

// report tells of an error and gives the exit code.
func (p *program) report(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, syscall.EPIPE): // a reader that has seen enough is no news
		return exitFailed
	case cancelled(err):
		fmt.Fprintln(p.err, "troupe: cancelled")
		for _, err := range apart(err) {
			if !cancelled(err) {
				fmt.Fprintf(p.err, "troupe: %s\n", joined("", err))
			}
		}
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(p.err, "troupe: %s\n", strings.TrimPrefix(joined(usage.command, err), ": "))
		fmt.Fprintf(p.err, "See: %s --help\n", strings.TrimSpace("troupe "+usage.command))
		return exitUsage
	}
	fmt.Fprintf(p.err, "troupe: %s\n", joined("", err))
	return exitFailed
}

func cancelled(err error) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled)
}

// apart are the errors of errors.Join.
func apart(err error) (list []error) {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, one := range several.Unwrap() {
		list = append(list, apart(one)...)
	}
	return list
}

// joined puts a command before an error, and the errors of errors.Join one a line, each with the prefix.
func joined(command string, err error) string {
	if command != "" {
		command += ": "
	}
	return command + strings.ReplaceAll(err.Error(), "\n", "\ntroupe: "+command)
}

// didYouMean ends a message about an unknown name.
func didYouMean(prefix, name string, known []string) string {
	if near := model.Nearest(name, known); near != "" {
		return fmt.Sprintf(": did you mean %s%s?", prefix, near)
	}
	return ""
}

// bare takes operation and path out of an error of the operating system, for messages that name the path.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// The forms of the flag package's errors.
var (
	flagUnknown = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	flagNoValue = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	flagInvalid = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): .*$`)
	flagTwice   = regexp.MustCompile(`^Cannot use two forms of the same flag: (\S+) (\S+)$`)
	flagFromEnv = regexp.MustCompile(`(?s)^could not parse (".*") as .* from environment variable "(\S+)" for flag ([\w-]+): .*$`)
)

// explainUsage turns an error of the flag package into one that says what is wanted.
func explainUsage(c *cli.Context, err error, _ bool) error {
	flags := append(append([]cli.Flag{}, c.Command.Flags...), c.App.Flags...)
	text := err.Error()
	if m := flagUnknown.FindStringSubmatch(text); m != nil {
		return usagef("unknown flag --%s%s", m[1], didYouMean("--", m[1], flagNames(flags)))
	}
	if m := flagNoValue.FindStringSubmatch(text); m != nil {
		return usagef("--%s: no value: want %s", m[1], wantedValue(flags, m[1]))
	}
	if m := flagInvalid.FindStringSubmatch(text); m != nil {
		return usagef("--%s: %s: want %s", m[2], m[1], wantedValue(flags, m[2]))
	}
	if m := flagFromEnv.FindStringSubmatch(text); m != nil {
		return usagef("%s: %s: want %s", m[2], m[1], wantedValue(flags, m[3]))
	}
	if m := flagTwice.FindStringSubmatch(text); m != nil {
		return usagef("--%s and --%s are the same: give one of them", m[1], m[2])
	}
	return &usageError{err: err}
}

// flagNames lists every long name of flags, aliases included.
func flagNames(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, n)
			}
		}
	}
	return names
}

// wantedValue says what a flag takes.
func wantedValue(flags []cli.Flag, name string) string {
	switch findFlag(flags, name).(type) {
	case *cli.IntFlag, *cli.Int64Flag:
		return "an integer"
	case *cli.Uint64Flag:
		return "an integer from 0"
	case *cli.Float64Flag:
		return "a number"
	case *cli.BoolFlag:
		return "true or false"
	}
	return "a value"
}

// findFlag returns the flag of that name or alias, or nil.
func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return f
			}
		}
	}
	return nil
}
