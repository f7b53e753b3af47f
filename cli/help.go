package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

const appDescription = `Results go to standard output, everything else to standard error. The exit code
is 0 when all went well, 1 when something failed, 2 for wrong usage.

Every flag is an environment variable as well (TROUPE_MAX_TOKENS for
--max-tokens) and a key of the YAML file that --config names, as in
"max-tokens: 100". The command line wins over the environment, and that over the
file. Flags may stand before and behind the command and its arguments.

troupe run "Tale: The Lighthouse Keeper"   write with the built-in model
troupe run                                 ask it again and again
troupe plan --preset grok-1                what the 314 B model needs
troupe help run                            the flags of a command`

const appTemplate = `troupe - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}

Commands:{{range .VisibleCommands}}
  {{printf "%-12s" .Name}}{{.Usage}}{{end}}

Flags of every command:
{{range .VisibleFlags}}{{.}}
{{end}}`

const commandTemplate = `{{.HelpName}} - {{.Usage}}

Usage: {{if .UsageText}}{{.UsageText}}{{else}}{{.HelpName}}{{if .Subcommands}} COMMAND{{end}} [flags]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}{{if .VisibleCommands}}
Commands:{{range .VisibleCommands}}
  {{printf "%-12s" .Name}}{{.Usage}}{{end}}
{{end}}{{if .VisibleFlagCategories}}{{range .VisibleFlagCategories}}
{{if .Name}}{{.Name}}{{else}}Flags{{end}}:
{{range .Flags}}{{.}}
{{end}}{{end}}{{else}}
Flags:
{{range .VisibleFlags}}{{.}}
{{end}}{{end}}
See "troupe help" for the flags of every command.
`

func init() {
	cli.FlagStringer = flagText
	cli.FlagEnvHinter = func(_ []string, text string) string { return text } // the rule is in the general help
	cli.HelpFlag.(*cli.BoolFlag).Usage = "print this help"
}

const (
	helpWidth  = 80 // columns
	helpIndent = 26 // where the text of a flag begins
)

// flagText is a flag's entry in the help: two columns within 80.
func flagText(f cli.Flag) string {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	place, usage := placeholder(doc.GetUsage())
	var long, short []string
	for _, n := range f.Names() {
		if len(n) == 1 {
			short = append(short, "-"+n)
		} else {
			long = append(long, "--"+n)
		}
	}
	left := strings.Join(append(short, long...), ", ")
	if doc.TakesValue() {
		if place == "" {
			place = "N"
			if _, float := f.(*cli.Float64Flag); float {
				place = "F"
			}
		}
		left += " " + place
		if d := strings.Trim(doc.GetDefaultText(), `"`); d != "" {
			usage += " (default: " + d + ")"
		}
	}
	if s, ok := f.(cli.DocGenerationSliceFlag); ok && s.IsSliceFlag() {
		usage += " (may stand several times)"
	}
	return columns("  "+left, usage)
}

// placeholder finds the part of a usage in backquotes, which names the value. At the beginning of the
// usage it is a name alone, elsewhere it is part of the text.
func placeholder(usage string) (name, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	name, after, closed := strings.Cut(rest, "`")
	switch {
	case !ok || !closed:
		return "", usage
	case before == "":
		return name, strings.TrimSpace(after)
	}
	return name, before + name + after
}

func columns(left, text string) string {
	var b strings.Builder
	b.WriteString(left)
	column := len([]rune(left))
	if column > helpIndent-2 {
		b.WriteByte('\n')
		column = 0
	}
	for _, word := range strings.Fields(text) {
		switch {
		case column <= helpIndent:
			b.WriteString(strings.Repeat(" ", helpIndent-column))
			column = helpIndent
		case column+1+len([]rune(word)) > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", helpIndent))
			column = helpIndent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len([]rune(word))
	}
	return b.String()
}

func (p *program) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "help for a command", ArgsUsage: "[COMMAND]",
		Action: func(c *cli.Context) error {
			commands, help := c.App.Commands, []string{"troupe"}
			for _, name := range c.Args().Slice() {
				found := false
				var names []string
				for _, command := range commands {
					names = append(names, command.Name)
					if command.HasName(name) {
						commands, found = command.Subcommands, true
						break
					}
				}
				if !found {
					return usagef("unknown command %q%s", name, didYouMean("", name, names))
				}
				help = append(help, name)
			}
			return p.app().RunContext(c.Context, append(help, "--help"))
		},
	}
}
