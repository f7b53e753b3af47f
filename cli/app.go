package main

import (
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// program is one invocation: its streams, its log and its settings.
type program struct {
	args       []string // with the program's name
	in         io.Reader
	out        io.Writer
	err        *console
	interrupts *interrupts
	logs       *logs
	quiet      bool
	settings   *settings
	host       *host       // of plugins, once it is read
	scribe     *scribe     // of --token-log and --resume; nil: none
	midLine    atomic.Bool // standard output and standard error are terminals, and a text stands in a line of theirs
}

func newProgram(in *interrupts, stdin io.Reader, stdout, stderr io.Writer) *program {
	p := &program{in: stdin, out: stdout, err: newConsole(stderr), interrupts: in}
	p.logs = newLogs(p.err)
	return p
}

// isTerminal tells whether a stream is one; buffers of tests are not.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// app builds the command line.
func (p *program) app() *cli.App {
	global := p.globalFlags()
	setEnvVars(global)
	app := &cli.App{
		Name: "troupe", HelpName: "troupe",
		Usage:       "run Grok-1-class mixture-of-experts models through a pipeline of actors",
		UsageText:   "troupe COMMAND [flags] [arguments]",
		Description: appDescription,
		Reader:      p.in, Writer: p.out, ErrWriter: p.err,
		Commands: []*cli.Command{
			p.runCommand(), p.evalCommand(), p.logitsCommand(), p.tokenizeCommand(),
			p.inspectCommand(), p.planCommand(), p.newCommand(), p.convertCommand(), p.kernelsCommand(), p.expertsCommand(), p.benchCommand(), p.workerCommand(), p.ctlCommand(), p.certCommand(),
			p.versionCommand(), p.helpCommand(), p.completionCommand(), p.docsCommand(),
		},
		Flags:                     append(global, cli.HelpFlag), // which a command of that name keeps out else
		Before:                    p.begin,
		Action:                    noCommand,
		HideHelpCommand:           true,
		HideVersion:               true, // a command of its own
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true, // a stop string may hold a comma
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              explainUsage,
		BashComplete:              p.complete,
		CustomAppHelpTemplate:     appTemplate,
	}
	for _, c := range app.Commands {
		p.prepare(c, "")
	}
	return app
}

// prepare gives a command what all of them have: variables, settings, checks, and errors with its name.
func (p *program) prepare(c *cli.Command, parent string) {
	name := strings.TrimSpace(parent + " " + c.Name)
	setEnvVars(c.Flags)
	c.HideHelpCommand, c.CustomHelpTemplate, c.BashComplete = true, commandTemplate, p.complete
	c.OnUsageError = func(ctx *cli.Context, err error, sub bool) error {
		return named(name, explainUsage(ctx, err, sub))
	}
	for _, sub := range c.Subcommands {
		p.prepare(sub, name)
	}
	action := c.Action
	c.Action = func(ctx *cli.Context) error {
		if action == nil || c.ArgsUsage == "" && ctx.NArg() > 0 {
			return named(name, unexpectedArguments(ctx, c))
		}
		if err := p.settings.apply(ctx); err != nil {
			return named(name, err)
		}
		return named(name, action(ctx))
	}
}

// named puts a command's name into its usage errors, for the hint behind them.
func named(command string, err error) error {
	if u, ok := err.(*usageError); ok && u.command == "" {
		u.command = command
	}
	return err
}

func unexpectedArguments(ctx *cli.Context, c *cli.Command) error {
	var names []string
	for _, sub := range c.Subcommands {
		names = append(names, sub.Name)
	}
	switch got := ctx.Args().First(); {
	case got == "":
		return usagef("want one of: %s", strings.Join(names, ", "))
	case len(names) > 0:
		return usagef("unknown command %q, want one of: %s%s", got, strings.Join(names, ", "), didYouMean("", got, names))
	default:
		return usagef("unexpected argument %q: this command takes none", got)
	}
}

// noCommand runs when no command was named.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	var names []string
	for _, command := range c.App.VisibleCommands() {
		names = append(names, command.Name)
	}
	return usagef("unknown command %q%s", name, didYouMean("", name, names))
}

// begin reads the program's own flags: it runs before every command.
func (p *program) begin(c *cli.Context) error {
	var err error
	if p.settings, err = readSettings(c.Context, c.String("config"), c.App); err != nil {
		return err
	}
	if err := p.settings.apply(c); err != nil {
		return err
	}
	p.quiet = c.Bool("quiet")
	if err := p.logs.configure(c.String("log-level"), c.String("log"), p.quiet); err != nil {
		return err
	}
	p.warnOfVariables(c.App)
	return nil
}
