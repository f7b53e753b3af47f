package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts arguments into the order that the flag package wants: the program's flags, the command,
// its flags, then everything else behind "--". So flags may stand anywhere, as in
// `troupe run "Once" --max-tokens 8 --quiet`. A first argument "--generate-bash-completion" at the end
// is the shell asking for completions: nothing is moved then.
func arrange(app *cli.App, args []string) []string {
	if len(args) == 0 || args[len(args)-1] == completionFlag() {
		return args
	}
	var global, local, rest []string
	commands, flags := app.Commands, []cli.Flag(nil)
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case len(arg) > 1 && arg[0] == '-':
			name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			flag, list := findFlag(flags, name), &local
			if flag == nil && (name == "help" || name == "h") { // of the command, whatever else there is
				return slices.Concat(args[:1], global, local, []string{"--help"})
			}
			if flag == nil {
				if flag = findFlag(app.Flags, name); flag != nil {
					list = &global
				}
			}
			*list = append(*list, arg)
			if doc, ok := flag.(cli.DocGenerationFlag); ok && doc.TakesValue() && !hasValue {
				if i+1 == len(args) { // an error, and the last flag must stay the last argument to be found wanting
					return slices.Concat(args[:1], global, local)
				}
				i++
				*list = append(*list, args[i])
			}
		case len(rest) == 0 && slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.HasName(arg) }):
			command := commands[slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(arg) })]
			commands, flags = command.Subcommands, append(flags, command.Flags...)
			local = append(local, arg)
		default:
			rest = append(rest, arg)
		}
	}
	out := append([]string{args[0]}, global...)
	out = append(out, local...)
	if len(rest) > 0 {
		out = append(append(out, "--"), rest...)
	}
	return out
}

func completionFlag() string { return "--" + cli.BashCompletionFlag.Names()[0] }

// completing has a "--" that a shell wants completed begin the name of a flag, and not end all flags.
func completing(args []string) []string {
	if n := len(args); n > 1 && args[n-1] == completionFlag() && args[n-2] == "--" {
		args = append(slices.Clone(args[:n-2]), "-", args[n-1])
	}
	return args
}
