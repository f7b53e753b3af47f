package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	in := &interrupts{exit: os.Exit}
	in.catch(func() { cancel(errInterrupted) })
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a write to a closed pipe is an error like any other, so that what was opened is closed
	go func() {
		for range signals {
			in.signal()
		}
	}()
	os.Exit(run(ctx, in, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: args with its name first, and the exit code.
func run(ctx context.Context, in *interrupts, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	p := newProgram(in, stdin, stdout, stderr)
	defer func() {
		if fault := recover(); fault != nil { // a mistake of ours: one line, like every other error
			fmt.Fprintf(stderr, "troupe: BUG: %v: please report this with the command that led to it\n", fault)
			code = exitFailed
		}
	}()
	args = completing(args)
	p.args = args
	app := p.app()
	return p.report(app.RunContext(ctx, arrange(app, args)))
}
