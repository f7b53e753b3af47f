package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/plugins"
)

const envPrefix = "TROUPE_"

// globalFlags are those of the program; they may stand before or behind the command.
func (p *program) globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "`FILE` of flags in YAML; its keys are their names", TakesFile: true},
		&cli.StringFlag{Name: "log-level", Usage: "`LEVEL` of the log on standard error: debug, info, warn or error", DefaultText: "warn"},
		&cli.StringFlag{Name: "log", Usage: "`LEVELS` of single parts, as actors=debug,ckpt=info; parts: " + strings.Join(logParts, ", ")},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print results and errors only"},
	}
}

// setEnvVars gives every flag its environment variable.
func setEnvVars(flags []cli.Flag) {
	for _, f := range flags {
		env := []string{envPrefix + strings.ToUpper(strings.ReplaceAll(f.Names()[0], "-", "_"))}
		switch f := f.(type) {
		case *cli.StringFlag:
			f.EnvVars = env
		case *cli.StringSliceFlag:
			f.EnvVars = env
		case *cli.BoolFlag:
			f.EnvVars = env
		case *cli.IntFlag:
			f.EnvVars = env
		case *cli.Uint64Flag:
			f.EnvVars = env
		case *cli.Float64Flag:
			f.EnvVars = env
		default:
			panic(fmt.Sprintf("BUG: flag --%s: a type without environment variable", f.Names()[0]))
		}
	}
}

// warnOfVariables names TROUPE_ variables that no flag has: a misspelt one would be ignored silently.
func (p *program) warnOfVariables(app *cli.App) {
	known := []string{plugins.FromEnv}
	for _, name := range allFlagNames(app) {
		known = append(known, envPrefix+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) {
			p.logs.part("cli").Warn("ignored: " + name + " is no flag's variable" + didYouMean("", name, known))
		}
	}
}

// allFlagNames lists the flags of the program and of all its commands.
func allFlagNames(app *cli.App) []string {
	names := flagNames(app.Flags)
	var walk func([]*cli.Command)
	walk = func(list []*cli.Command) {
		for _, c := range list {
			names = append(names, flagNames(c.Flags)...)
			walk(c.Subcommands)
		}
	}
	walk(app.Commands)
	return names
}

// modelFlag is the model directory, alike in all commands that open one.
func modelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Aliases: []string{"m"}, TakesFile: true, DefaultText: "the embedded demo",
		Usage: "`DIR` of a model: config.json, tokenizer.model, ckpt-0"}
}

func jsonFlag(usage string) cli.Flag { return &cli.BoolFlag{Name: "json", Usage: usage} }

// parseInts reads "5,17,3".
func parseInts(list string) ([]int, error) {
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("empty: want numbers separated by commas, as 5,17,3")
	}
	var out []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil {
			return nil, fmt.Errorf("%q: want numbers separated by commas, as 5,17,3", field)
		}
		out = append(out, n)
	}
	return out, nil
}

// parseIDs reads token ids; whether the model has them is checked with the request.
func parseIDs(list string) ([]int32, error) {
	ints, err := parseInts(list)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, len(ints))
	for i, n := range ints {
		if n < 0 || n > 1<<30 {
			return nil, fmt.Errorf("token id %d: want one of the vocabulary", n)
		}
		ids[i] = int32(n)
	}
	return ids, nil
}

// formatIDs is the inverse of parseIDs.
func formatIDs(ids []int32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	return strings.Join(text, ",")
}
