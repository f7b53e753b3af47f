package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts have the program itself complete: a hidden flag at the end of the line makes it print what
// may follow. Where it has nothing to say, files are offered.
const (
	bashCompletion = `# bash completion for troupe: source it, as in
#   source <(troupe completion bash)
_troupe() {
    local cur="${COMP_WORDS[COMP_CWORD]}" words=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $cur == -* ]] && words+=("$cur")
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _troupe troupe
`
	zshCompletion = `#compdef troupe
# zsh completion for troupe: put it into a directory of $fpath as _troupe, or
#   source <(troupe completion zsh)
_troupe() {
    local -a words_before options
    words_before=("${(@)words[1,CURRENT-1]}")
    [[ ${words[CURRENT]} == -* ]] && words_before+=("${words[CURRENT]}")
    options=("${(@f)$("${words_before[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n "${options[1]}" ]]; then
        _describe 'troupe' options
    else
        _files
    fi
}
compdef _troupe troupe
`
)

// complete prints what may follow the words before the hidden flag: flags if the last one begins like
// one, else commands.
func (p *program) complete(c *cli.Context) {
	if last := p.args[len(p.args)-2]; strings.HasPrefix(last, "-") {
		names := flagNames(slices.Concat(c.Command.Flags, c.App.Flags))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if strings.HasPrefix("--"+name, last) {
				fmt.Fprintln(p.out, "--"+name)
			}
		}
		return
	}
	for _, command := range c.Command.VisibleCommands() {
		fmt.Fprintln(p.out, command.Name)
	}
}

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes commands and flags in a shell", ArgsUsage: "bash|zsh|fish",
		Description: `source <(troupe completion bash)
source <(troupe completion zsh)
troupe completion fish > ~/.config/fish/completions/troupe.fish`,
		Action: func(c *cli.Context) error {
			script := ""
			switch shell := strings.Join(c.Args().Slice(), " "); shell {
			case "bash":
				script = bashCompletion
			case "zsh":
				script = zshCompletion
			case "fish":
				var err error
				if script, err = c.App.ToFishCompletion(); err != nil {
					return err
				}
			default:
				return usagef("shell %q: want bash, zsh or fish", shell)
			}
			_, err := io.WriteString(p.out, script)
			return err
		},
	}
}

func (p *program) docsCommand() *cli.Command {
	return &cli.Command{
		Name: "docs", Usage: "print this help as one document", ArgsUsage: "markdown|man", Hidden: true,
		Description: "troupe docs man > troupe.1",
		Action: func(c *cli.Context) (err error) {
			text := ""
			switch form := strings.Join(c.Args().Slice(), " "); form {
			case "markdown":
				text, err = c.App.ToMarkdown()
			case "man":
				text, err = c.App.ToManWithSection(1)
			default:
				return usagef("form %q: want markdown or man", form)
			}
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.out, text)
			return err
		},
	}
}
