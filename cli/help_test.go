package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// eachCommand calls f for every command, hidden ones and those below others too.
func eachCommand(t *testing.T, f func(name string, c *cli.Command)) {
	t.Helper()
	p := newProgram(&interrupts{}, nil, nil, nil)
	var walk func(prefix string, list []*cli.Command)
	walk = func(prefix string, list []*cli.Command) {
		for _, c := range list {
			f(strings.TrimSpace(prefix+" "+c.Name), c)
			walk(prefix+" "+c.Name, c.Subcommands)
		}
	}
	walk("", p.app().Commands)
}

// TestHelp prints the help of every command in both ways, within 80 columns.
func TestHelp(t *testing.T) {
	check := func(name string, o outcome) {
		if o.err != "" || !strings.Contains(o.out, "Usage: troupe") {
			t.Errorf("%s: %s%s", name, o.out, o.err)
		}
		for line := range strings.Lines(o.out) {
			if n := len([]rune(line)) - 1; n > helpWidth {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
	all := troupe(t, "", "--help").ok(t)
	check("troupe", all)
	if bare := troupe(t, "").ok(t); bare.out != all.out {
		t.Errorf("without arguments: %q, want the help", bare.out)
	}
	eachCommand(t, func(name string, c *cli.Command) {
		a := troupe(t, "", append(strings.Fields(name), "--help")...).ok(t)
		b := troupe(t, "", append([]string{"help"}, strings.Fields(name)...)...).ok(t)
		check(name, a)
		if a.out != b.out {
			t.Errorf("%s: --help and help differ", name)
		}
		if !c.Hidden && !strings.Contains(name, " ") && !strings.Contains(all.out, "\n  "+name+" ") {
			t.Errorf("%s is not in the general help", name)
		}
		for _, f := range c.Flags {
			doc := f.(cli.DocGenerationFlag)
			if doc.GetUsage() == "" || doc.GetEnvVars() == nil && f != cli.HelpFlag {
				t.Errorf("%s: --%s: usage %q, variables %v", name, f.Names()[0], doc.GetUsage(), doc.GetEnvVars())
			}
			if !strings.Contains(a.out, "--"+f.Names()[0]) {
				t.Errorf("%s: --%s is not in its help", name, f.Names()[0])
			}
		}
	})
}

// TestExamples has every example of the help parsed: flags and values that it shows exist.
func TestExamples(t *testing.T) {
	n, all := 0, map[string]*cli.Command{}
	eachCommand(t, func(name string, c *cli.Command) { all[name] = c })
	eachCommand(t, func(name string, c *cli.Command) {
		for line := range strings.Lines(c.Description) {
			_, command, found := strings.Cut(line, "troupe ")
			if !found || !strings.HasPrefix(command, strings.Fields(name)[0]+" ") {
				continue
			}
			n++
			command, _, _ = strings.Cut(strings.NewReplacer("\n", "", ")", "").Replace(command), ">")
			command, _, _ = strings.Cut(command, "<")
			args := arguments(command)
			if o := troupe(t, "", append(args, "--help")...); o.code != exitOK {
				t.Errorf("%s: %s", command, o.err)
			}
			meant := all[strings.Fields(name)[0]] // or one of the group
			for _, a := range args {
				for _, sub := range meant.Subcommands {
					if sub.Name == a {
						meant = sub
						break
					}
				}
				flag, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
				if strings.HasPrefix(a, "-") && len(a) > 1 && findFlag(meant.Flags, flag) == nil {
					t.Errorf("%s: no flag %s", command, a)
				}
			}
		}
	})
	if n < 15 {
		t.Errorf("%d examples found: has their form changed?", n)
	}
}

func TestDocsAndCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"docs markdown":   "## run\n",
		"docs man":        ".SH run",
		"completion bash": "complete -o bashdefault",
		"completion zsh":  "compdef _troupe troupe",
		"completion fish": "complete -c troupe",
		"kernels list":    "ref",
		"version":         "troupe ",
		"version --json":  `"platform":`,
	} {
		if o := troupe(t, "", strings.Fields(args)...).ok(t); !strings.Contains(o.out, want) || o.err != "" {
			t.Errorf("%s: no %q in %.200s%s", args, want, o.out, o.err)
		}
	}
	for line, want := range map[string]string{
		"":              "run\neval\nlogits\ntokenize\ninspect\nplan\nnew\nconvert\nkernels\nexperts\nbench\nworker\nctl\ncert\nversion\nhelp\ncompletion\n",
		"run --max-":    "--max-batch\n--max-len\n--max-tokens\n",
		"run --qu":      "--quiet\n",
		"kernels --":    "--config\n--help\n--log\n--log-level\n--quiet\n",
		"kernels":       "list\ntest\nbench\n",
		"kernels list":  "",
		"experts":       "sweep\ntrace\nheatmap\ndiff\nprune\nduplicate\nswap\naverage\nupcycle\ncalibrate\ntune\n",
		"ctl kernels":   "list\nswap\nrollback\nstatus\n",
		"ctl stats --c": "--config\n--control\n",
		"run -m x --se": "--seed\n",
	} {
		if o := troupe(t, "", append(strings.Fields(line), "--generate-bash-completion")...).ok(t); o.out != want {
			t.Errorf("%q is completed by %q, want %q", line, o.out, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // the others are only printed here
		}
		check := exec.Command(path, "-n")
		check.Stdin = strings.NewReader(troupe(t, "", "completion", shell).ok(t).out)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not read its script: %v: %s", shell, err, out)
		}
	}
}
