package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what the commands print")

// long leaves out a test that takes seconds and does not depend on the kernels that the machine chooses.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left out by -short")
	}
}

// moments is how often things are killed in each way: few here, more by TROUPE_MOMENTS.
func moments() int {
	if n, err := strconv.Atoi(os.Getenv("TROUPE_MOMENTS")); err == nil {
		return n
	}
	return 4
}

// outcome is what a command has printed and its exit code.
type outcome struct {
	out, err string
	code     int
}

// troupe runs the program in this process.
func troupe(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return troupeContext(t.Context(), stdin, args...)
}

func troupeContext(ctx context.Context, stdin string, args ...string) outcome {
	var out, err bytes.Buffer
	in := &interrupts{exit: func(int) {}}
	code := run(ctx, in, append([]string{"troupe"}, args...), strings.NewReader(stdin), &out, &err)
	return outcome{out.String(), err.String(), code}
}

// ok demands success.
func (o outcome) ok(t *testing.T) outcome {
	t.Helper()
	if o.code != exitOK {
		t.Fatalf("exit %d: %s%s", o.code, o.out, o.err)
	}
	return o
}

// TestScripts runs the commands of testdata/*.txt. A line begins with
//
//	#  a comment
//	@  NAME=VALUE, a variable for the next command
//	<  standard input of the next command
//	$  the command; arguments in "" may hold spaces
//	>  what it prints to standard output, a line each
//	!  and to standard error
//	=  its exit code
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(raw))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compareLines(t, file, got, string(raw))
		})
	}
}

// runScript gives the script with the lines >, ! and = as they are now.
func runScript(t *testing.T, script string) string {
	var b, stdin strings.Builder
	env := map[string]string{}
	for line := range strings.Lines(script) {
		mark, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch mark {
		case ">", "!", "=":
			continue
		case "@":
			name, value, _ := strings.Cut(text, "=")
			env[name] = value
		case "<":
			stdin.WriteString(text + "\n")
		}
		b.WriteString(line)
		if mark != "$" {
			continue
		}
		for name, value := range env {
			t.Setenv(name, value)
		}
		o := troupe(t, stdin.String(), arguments(text)...)
		for name := range env {
			os.Unsetenv(name)
		}
		stdin.Reset()
		clear(env)
		prefixed(&b, "> ", o.out)
		prefixed(&b, "! ", o.err)
		fmt.Fprintf(&b, "= %d\n", o.code)
	}
	return b.String()
}

func prefixed(b *strings.Builder, prefix, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString(strings.TrimRight(prefix+line, " ") + "\n")
	}
}

// arguments cuts a line at spaces outside of "".
func arguments(line string) (args []string) {
	quoted, begun := false, false
	var arg strings.Builder
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				args = append(args, arg.String())
			}
			begun = false
			arg.Reset()
		default:
			begun = true
			arg.WriteRune(r)
		}
	}
	return args
}

func compareLines(t *testing.T, name, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("%s:%d: got %q, want %q (-update rewrites it)", name, i+1, a, b)
		}
	}
}
