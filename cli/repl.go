package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/chzyer/readline"
)

// lineReader is a line editor.
type lineReader interface {
	// Readline returns io.EOF for Ctrl-D and readline.ErrInterrupt for Ctrl-C.
	Readline() (string, error)
}

// interactive asks for prompts on the terminal until Ctrl-D.
func (p *program) interactive(ctx context.Context, g *generator, kernels *steering, s sampling, ids bool) error {
	history, err := historyFile()
	if err != nil {
		p.logs.part("cli").Warn("no history: " + err.Error())
	}
	editor, err := readline.NewEx(&readline.Config{
		Prompt: "> ", HistoryFile: history, HistorySearchFold: true, AutoComplete: completeCommands(),
		Stdout: p.err.w, Stderr: p.err.w, // standard output has the text alone
	})
	if err != nil {
		return err
	}
	defer editor.Close()
	p.err.setBar(editor.Stderr()) // what comes while a line is typed goes above it
	defer p.err.setBar(nil)
	defer context.AfterFunc(ctx, func() { editor.Close() })() // SIGTERM while it waits for a line
	r := &repl{program: p, generator: g, kernels: kernels, settings: s, initial: s, ids: ids}
	defer r.endSwaps()
	p.notice("a line is a prompt; /help tells the commands, Ctrl-D leaves")
	return r.loop(ctx, editor)
}

// historyFile is where prompts are kept, in the user's own state directory.
func historyFile() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "troupe")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, "history"), nil
}

func completeCommands() readline.AutoCompleter {
	var items []readline.PrefixCompleterInterface
	for _, c := range replCommands() {
		items = append(items, readline.PcItem("/"+c.name))
	}
	return readline.NewPrefixCompleter(items...)
}

// repl is the interactive mode.
type repl struct {
	*program
	generator *generator
	kernels   *steering
	swaps     backgroundSwaps
	settings  sampling
	initial   sampling // of the flags
	ids       bool
	last      []int32 // prompt and continuation, for /more
	left      bool    // /quit
}

func (r *repl) loop(ctx context.Context, lines lineReader) error {
	for !r.left {
		line, err := lines.Readline()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, readline.ErrInterrupt):
			r.notice("Ctrl-D or /quit leaves")
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := r.line(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// line deals with what was typed. Only an error that ends the program is returned.
func (r *repl) line(ctx context.Context, line string) error {
	switch {
	case strings.TrimSpace(line) == "":
		return nil
	case strings.HasPrefix(line, "/"):
		return r.command(ctx, line)
	}
	return r.generate(ctx, prompt{text: &line, sampling: r.settings})
}

// generate prints a continuation; Ctrl-C ends it alone.
func (r *repl) generate(ctx context.Context, in prompt) error {
	in.id = []byte("0")
	j := r.generator.prepare(in)
	if j.err != nil {
		r.complain(j.err)
		return nil
	}
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.interrupts.catch(cancel)()
	show := r.showText
	if r.ids {
		show = r.showID
	}
	result, err := r.generator.run(own, j, show)
	if err == nil {
		err = r.print("\n")
	}
	if err != nil {
		return err
	}
	r.last = append(append([]int32{}, j.request.Prompt...), result.Tokens...)
	if result.err != nil {
		r.complain(result.err)
		return nil
	}
	r.summary(j, result)
	r.tellDoubts("", result)
	return context.Cause(ctx)
}

// complain tells of an error that ends nothing.
func (r *repl) complain(err error) { fmt.Fprintf(r.err, "troupe: %v\n", err) }
