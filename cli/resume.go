package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/internal/tokenlog"
)

// Flags of run by what they are to a run that goes on. Others are not taken over from a log: they are of one run, write
// files, or start programs, which nobody's log may have done (C1). They may be given again.
var (
	// fixedFlags change tokens or what is printed.
	fixedFlags = []string{"tokens", "ids", "json", "routing", "max-tokens", "temperature", "top-p", "top-k", "min-p", "seed", "stop", "ignore-eos",
		"sampler", "experts", "arith", "pad-sizes"}
	// freeFlags change no token (N1 to N3), or name what is compared by its content.
	freeFlags = []string{"model", "prompts", "overlay", "devices", "expert-devices", "placement", "stages", "threads", "threads-prefill", "kernels",
		"prefill-chunk", "max-batch", "microbatches", "telemetry", "stage-journal", "shm", "repack", "verify-fraction", "plugin-deadline", "workers", "spares", "listen", "cert"}
)

// savedFlags are those that a log tells of: all that change tokens, and all others that were given. prompts tells that
// those of --prompts can be read again; else the log has them, and they come from standard input.
func savedFlags(c *cli.Context, prompts bool) (list []tokenlog.Setting) {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		given := c.IsSet(name)
		if !given && !slices.Contains(fixedFlags, name) || name == "token-log" || name == "resume" {
			continue
		}
		s := tokenlog.Setting{Name: name, Given: given, Values: flagValues(c, f)}
		if name == "prompts" && !prompts {
			s.Values = []string{"-"}
		}
		list = append(list, s)
	}
	return list
}

// flagValues is what a flag is set to, as it could be given anywhere: names of files with their directories.
func flagValues(c *cli.Context, f cli.Flag) []string {
	name := f.Names()[0]
	if _, many := f.(*cli.StringSliceFlag); many {
		return append([]string{}, c.StringSlice(name)...)
	}
	value := fmt.Sprint(c.Value(name))
	if file, ok := strings.CutPrefix(value, "@"); ok && name == "experts" {
		return []string{"@" + absolute(file)}
	}
	if s, ok := f.(*cli.StringFlag); ok && s.TakesFile {
		return []string{absolute(value)}
	}
	return []string{value}
}

// absolute is the name of a file in full, if there is one.
func absolute(name string) string {
	if _, err := os.Stat(name); err != nil {
		return name
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return full
}

// restoreFlags sets the flags of the run of a log that are not given now. Those that are must not change its tokens. left are
// the names of those that are not taken over.
func restoreFlags(c *cli.Context, log *tokenlog.Log) (left []string, err error) {
	var differ []string
	saved := map[string]bool{}
	for _, s := range log.Head().Settings {
		f := findFlag(c.Command.Flags, s.Name)
		if f == nil || len(s.Values) == 0 && s.Name != "stop" {
			return nil, fmt.Errorf("--resume: %s: flag %.40q is none of a run: of another version of troupe?", log.Name(), s.Name)
		}
		name := f.Names()[0]
		saved[name] = true
		same := slices.Equal(flagValues(c, f), s.Values)
		fixed := slices.Contains(fixedFlags, name)
		if c.IsSet(name) {
			if fixed && !same {
				differ = append(differ, fmt.Sprintf("--%s is %s and was %s", name, listed(flagValues(c, f)), listed(s.Values)))
			}
			continue
		}
		if same && !s.Given {
			continue
		}
		if !fixed && !slices.Contains(freeFlags, name) {
			left = append(left, "--"+name)
			continue
		}
		for _, v := range s.Values {
			if err := c.Set(name, v); err != nil {
				return nil, fmt.Errorf("--resume: %s: --%s %.40q: want %s", log.Name(), name, v, wantedValue(c.Command.Flags, name))
			}
		}
	}
	for _, name := range []string{"prompts", "tokens"} {
		if c.IsSet(name) && !saved[name] {
			differ = append(differ, fmt.Sprintf("--%s was not given", name))
		}
	}
	if len(differ) > 0 {
		return nil, usagef("--resume: %s was begun with other settings: %s: leave them out, or begin anew without --resume", log.Name(), strings.Join(differ, ", "))
	}
	return left, nil
}

func listed(values []string) string {
	if text := strings.Join(values, ", "); text != "" {
		return fmt.Sprintf("%.60q", text)
	}
	return "none"
}
