package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/internal/tokenlog"
)

// timings are the parts of results that no two runs have alike.
var timings = regexp.MustCompile(`"(seconds_prefill|seconds_decode|tokens_per_second)":[-+0-9.e]+`)

func untimed(text string) string { return timings.ReplaceAllString(text, `"$1":0`) }

// byRequest sorts the lines of a run by request: events of several come as they come.
func byRequest(t *testing.T, text string) string {
	t.Helper()
	list := slices.Collect(strings.Lines(untimed(text)))
	slices.SortStableFunc(list, func(a, b string) int {
		id := func(line string) string { return string(lines[struct{ ID json.RawMessage }](t, line)[0].ID) }
		return strings.Compare(id(a), id(b))
	})
	return strings.Join(list, "")
}

// drawn is what an undisturbed run has made of a request, from its events.
type drawn struct {
	tokens []tokenlog.Token
	result string
}

func eventsOf(t *testing.T, text string) map[string]*drawn {
	t.Helper()
	all := map[string]*drawn{}
	for line := range strings.Lines(text) {
		e := lines[struct {
			ID         json.RawMessage
			Token      *int32
			LogProb    float32
			Generation uint64
			Finish     string
		}](t, line)[0]
		d := all[string(e.ID)]
		if d == nil {
			d = &drawn{}
			all[string(e.ID)] = d
		}
		if e.Token != nil {
			d.tokens = append(d.tokens, tokenlog.Token{ID: *e.Token, LogProb: e.LogProb, Generation: e.Generation, Since: e.Generation})
		}
		if e.Finish != "" {
			d.result = line
		}
	}
	return all
}

// variety are requests of every kind; each begins with {"id":N.
func variety(copies int) (text string) {
	kinds := []string{
		`"prompt":"Tale: The Lost Lantern\n\n","temperature":0,"max_tokens":30`,
		`"prompt":"Tale: The Lost Lantern\n\n","temperature":0,"stop":["never there","by the"],"max_tokens":60`,
		`"prompt":"Recipe: Soup","temperature":60,"seed":5,"ignore_eos":true,"max_tokens":40`, // bytes of characters, and not only whole ones
		`"prompt":"Recipe: Apple pie","experts":1,"temperature":1.5,"top_k":40,"max_tokens":25,"ignore_eos":true`,
		`"prompt":"Sums: Addition","experts":"0-2:1,5:8","top_p":0.9,"min_p":0.01,"max_tokens":25,"routing":true`,
		`"prompt":"Records: People as CSV","sampler":"jax-f32","nucleus_p":0.8,"max_len":20,"ignore_eos":true`,
		`"tokens":[0,0,571,1996],"max_tokens":20,"ignore_eos":true,"routing":true`, // pads, whose bucket goes in one batch
		`"prompt":"Sums: Counting by 7","temperature":0,"max_tokens":400`,          // ends itself
		`"prompt":""`,
	}
	for i := range copies {
		for k, kind := range kinds {
			text += fmt.Sprintf("{\"id\":%d,%s}\n", i*len(kinds)+k, kind)
		}
	}
	return text
}

// cutLog makes a log as that of a run that was ended when its requests had come as far as upTo says.
func cutLog(t *testing.T, name string, whole string, all map[string]*drawn, upTo func(request, tokens int) int) {
	t.Helper()
	l, err := tokenlog.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := tokenlog.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cut.Begin(l.Head(), l.Input(), nil), l.Close()); err != nil {
		t.Fatal(err)
	}
	for id, d := range all {
		var number int
		fmt.Sscan(id, &number)
		for i, token := range d.tokens[:upTo(number, len(d.tokens))] {
			if err := cut.Add(number, i, token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cut.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResume ends runs of all kinds of requests at random tokens, and has them go on elsewhere: what is printed is what
// an undisturbed run prints, but for the times.
func TestResume(t *testing.T) {
	const copies = 6
	requests := variety(copies)
	dir := t.TempDir()
	file := filepath.Join(dir, "requests.jsonl")
	if err := os.WriteFile(file, []byte(requests), 0o644); err != nil {
		t.Fatal(err)
	}
	log := func(name string) string { return filepath.Join(dir, name) }
	base := []string{"run", "-q", "--prompts", file}
	lined := troupe(t, "", append(base, "--token-log", log("lines"))...)
	events := troupe(t, "", append(base, "--json", "--token-log", log("events"))...)
	if plain := troupe(t, "", base...); untimed(plain.out) != untimed(lined.out) || plain.code != lined.code || plain.err != lined.err {
		t.Errorf("with a log other things are printed:\n%s\n%s", plain.out, lined.out)
	}
	all := eventsOf(t, events.out)
	for _, d := range all {
		if len(d.tokens) > 0 && len(d.tokens) != len(lines[result](t, d.result)[0].Tokens) {
			t.Fatalf("%d events: %s", len(d.tokens), d.result)
		}
	}
	seeds := 4
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 9))
		cuts := map[int]int{}
		upTo := func(request, n int) int {
			if _, ok := cuts[request]; !ok {
				cuts[request] = rng.IntN(n + 1)
			}
			return cuts[request]
		}
		elsewhere := [][]string{nil, {"--devices", "cpu:1,cpu:1", "--max-batch", "3"}, {"--prefill-chunk", "70", "--kernels", "cpu/generic"},
			{"--stages", "2", "--chaos", "random:7,0.01", "--chaos-report", log("report")}}[seed]
		for _, way := range []struct {
			name string
			want outcome
		}{{"lines", lined}, {"events", events}} {
			name := log(fmt.Sprint(way.name, seed))
			cutLog(t, name, log(way.name), all, upTo)
			got := troupe(t, "", append([]string{"run", "-q", "--resume", name}, elsewhere...)...)
			if byRequest(t, got.out) != byRequest(t, way.want.out) || got.code != way.want.code || got.err != way.want.err {
				compareLines(t, name, byRequest(t, got.out), byRequest(t, way.want.out))
				t.Errorf("seed %d, %s: exit %d, want %d: %s", seed, way.name, got.code, way.want.code, got.err)
			}
			if way.name == "lines" && untimed(got.out) != untimed(way.want.out) {
				t.Errorf("seed %d: results are not in the order of requests", seed)
			}
			again := troupe(t, "", "run", "-q", "--resume", name)
			if byRequest(t, again.out) != byRequest(t, got.out) || way.name == "lines" && again.out != got.out {
				t.Errorf("seed %d, %s: the log of a run that is over gives something else", seed, way.name)
			}
		}
	}
}

// TestResumeEveryToken ends one request of each kind at every token, as text, ids and events.
func TestResumeEveryToken(t *testing.T) {
	long(t)
	for _, test := range []struct {
		name, prompt string
		flags        []string
	}{
		{"stop", "Tale: The Lost Lantern\n\n", []string{"--temperature", "0", "--max-tokens", "20", "--stop", "by the"}},
		{"bytes", "Recipe: Soup", []string{"--temperature", "60", "--seed", "4", "--max-tokens", "14", "--ignore-eos", "--routing"}},
	} {
		for _, form := range []string{"", "--ids", "--json"} {
			dir := t.TempDir()
			log := func(name string) string { return filepath.Join(dir, name) }
			args := append([]string{"run", "-q", "--token-log", log("whole")}, test.flags...)
			if form != "--json" {
				args = slices.DeleteFunc(args, func(s string) bool { return s == "--routing" })
			}
			if form != "" {
				args = append(args, form)
			}
			want := troupe(t, "", append(args, test.prompt)...).ok(t)
			all := eventsOf(t, troupe(t, "", append(append([]string{"run", "-q", "--json"}, test.flags...), test.prompt)...).ok(t).out)
			for n := range len(all[`0`].tokens) + 1 {
				cutLog(t, log(fmt.Sprint(n)), log("whole"), all, func(int, int) int { return n })
				got := troupe(t, "", "run", "-q", "--resume", log(fmt.Sprint(n))).ok(t)
				if untimed(got.out) != untimed(want.out) {
					t.Errorf("%s, %q, cut at %d:\n%q, want\n%q", test.name, form, n, got.out, want.out)
				}
			}
		}
	}
}

// TestResumeKilled kills a real run as often as it takes, at random moments, until one comes to its end.
func TestResumeKilled(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "troupe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	requests := variety(8)
	want := troupe(t, requests, "run", "-q", "--pad-sizes", "8,64", "--prompts", "-")
	seeds := moments()
	if testing.Short() {
		seeds = 2
	}
	total := 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 11))
		log := filepath.Join(dir, fmt.Sprint("log", seed))
		args := []string{"run", "-q", "--pad-sizes", "8,64", "--prompts", "-", "--token-log", log, "--chaos", fmt.Sprint("random:", seed, ",0.005"), "--chaos-report", log + ".report"}
		size := int64(0)
		for kills := 0; ; kills++ {
			var out strings.Builder
			cmd := exec.Command(program, args...)
			cmd.Stdin, cmd.Stdout = strings.NewReader(requests), &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			limit := size + 1 + rng.Int64N(40_000) // at the latest then, and at times before
			patience := time.After(time.Minute)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			var end error
			over := false
			for !over {
				select {
				case end = <-ended:
					over = true
				case <-patience:
					t.Error("the run hangs")
					limit = 0
				case <-time.After(time.Duration(rng.IntN(3_000_000))):
					if info, err := os.Stat(log); limit == 0 || err == nil && info.Size() > limit {
						_ = cmd.Process.Kill()
						end, over = <-ended, true
					}
				}
			}
			if cmd.ProcessState.Exited() {
				if cmd.ProcessState.ExitCode() != want.code || untimed(out.String()) != untimed(want.out) {
					compareLines(t, log, untimed(out.String()), untimed(want.out))
					t.Errorf("seed %d, after %d kills: %v", seed, kills, end)
				}
				total += kills
				break
			}
			info, err := os.Stat(log)
			if err != nil || t.Failed() {
				t.Fatal(err)
			}
			size = info.Size()
			args = []string{"run", "-q", "--resume", log, "--chaos", fmt.Sprint("random:", seed, ",0.005"), "--chaos-report", log + ".report"}
			if kills%2 == 1 {
				args = append(args, "--devices", "cpu:1,cpu:1")
			}
		}
	}
	if total == 0 {
		t.Error("no run was killed")
	}
	t.Logf("%d kills of %d runs", total, seeds)
}

// TestResumeRefuses has logs and flags that do not fit each other: a line that says so, and the log stays as it is.
func TestResumeRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		if err := os.WriteFile(file(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	prompts := write("prompts", `{"prompt":"Tale:","max_tokens":9,"ignore_eos":true}`+"\n")
	policy := write("policy", "2\n")
	whole := file("whole")
	ran := troupe(t, "", "run", "-q", "--prompts", prompts, "--experts", "@"+policy, "--temperature", "0", "--token-log", whole, "--max-batch", "2").ok(t)
	one := file("one")
	text := troupe(t, "", "run", "-q", "--max-tokens", "9", "--token-log", one, "Tale:").ok(t).out
	piped := file("piped")
	troupe(t, "Tale:", "run", "-q", "--max-tokens", "9", "--token-log", piped).ok(t)

	// A log of the same run without its result, so that a model is needed.
	all := map[string]*drawn{"0": {tokens: []tokenlog.Token{{ID: 1}, {ID: 2}}}}
	open := func(name string, change func(*tokenlog.Head)) string {
		l, err := tokenlog.Open(whole)
		if err != nil {
			t.Fatal(err)
		}
		h := l.Head()
		if change != nil {
			change(&h)
		}
		cut, err := tokenlog.Create(file(name))
		if err == nil {
			err = errors.Join(cut.Begin(h, l.Input(), nil), l.Close())
		}
		for i, token := range all["0"].tokens {
			err = errors.Join(err, cut.Add(0, i, token))
		}
		if err = errors.Join(err, cut.Close()); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	drawnOtherwise := open("drawn otherwise", nil)
	otherModel := open("other model", func(h *tokenlog.Head) { h.Model = "0123" })
	otherRequests := open("other requests", func(h *tokenlog.Head) { h.Digest = "0123" })
	otherFlag := open("other flag", func(h *tokenlog.Head) {
		h.Settings = append(h.Settings, tokenlog.Setting{Name: "speed", Values: []string{"1"}})
	})
	otherValue := open("other value", func(h *tokenlog.Head) {
		h.Settings = append(h.Settings, tokenlog.Setting{Name: "stages", Given: true, Values: []string{"many"}})
	})
	all["0"].tokens = make([]tokenlog.Token, 10)
	tooMany := open("too many", nil)
	all["0"].tokens = []tokenlog.Token{{ID: 99_999}, {ID: 1}}
	noToken := open("no token", nil)
	results, length := map[string]string{}, lines[result](t, ran.out)[0].PromptTokens
	for name, line := range map[string]string{"another": `{"id":7,"prompt_tokens":%d,"tokens":[5]}`, "long": `{"id":0,"prompt_tokens":%d,"tokens":[1,2,3,4,5,6,7,8,9,10]}`,
		"strange": `{"id":0,"prompt_tokens":%d,"tokens":[99999]}`, "no": `[]`} {
		all["0"].tokens = nil
		results[name] = open(name+" result", nil)
		l, err := tokenlog.Open(results[name])
		if err == nil {
			err = errors.Join(l.Continue("test", nil), l.Finish(0, keptResult{Line: json.RawMessage(strings.Replace(line, "%d", fmt.Sprint(length), 1))}), l.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"both flags", []string{"--resume", whole, "--token-log", one}, exitUsage, "--token-log with --resume"},
		{"a prompt", []string{"--resume", one, "Tale:"}, exitUsage, "PROMPT with --resume: the log has what is run"},
		{"no log", []string{"--resume", file("none")}, exitFailed, "none: no such file"},
		{"no log but another file", []string{"--resume", prompts}, exitFailed, "no whole first line: is this a token log?"},
		{"a directory", []string{"--resume", dir}, exitFailed, "no regular file"},
		{"a log that is there", []string{"--token-log", whole, "Tale:"}, exitFailed, "is there already: if it is the log of a run that was stopped, go on with --resume"},
		{"a trace", []string{"--token-log", file("new"), "--routing-trace", file("trace"), "Tale:"}, exitUsage, "--routing-trace with a token log"},
		{"settings", []string{"--resume", whole, "--temperature", "0.5", "--seed", "3", "--stop", "a,b", "--arith", "exact", "--json"}, exitUsage,
			`--json is "true" and was "false", --temperature is "0.5" and was "0", --seed is "3" and was "42", --stop is "a,b" and was none, --arith is "exact" and was "int8": leave them out`},
		{"other prompts", []string{"--resume", whole, "--prompts", policy}, exitFailed, "line 1: JSON number"},
		{"another kind of prompts", []string{"--resume", one, "--prompts", prompts}, exitUsage, "--prompts was not given"},
		{"tokens", []string{"--resume", one, "--tokens", "5"}, exitUsage, "--tokens is "},
		{"another model", []string{"--resume", otherModel}, exitFailed, "is of the model 0123, and this is "},
		{"other requests", []string{"--resume", otherRequests}, exitFailed, "the requests are not those"},
		{"another flag", []string{"--resume", otherFlag}, exitFailed, `flag "speed" is none of a run`},
		{"another value", []string{"--resume", otherValue}, exitFailed, `--stages "many": want`},
		{"other tokens", []string{"--resume", drawnOtherwise}, exitFailed, "token 1 is 2 in the log and "},
		{"too many tokens", []string{"--resume", tooMany}, exitFailed, "10 tokens, and it asks for 9"},
		{"another result", []string{"--resume", results["another"]}, exitFailed, "the result of request 0: it is not of this request"},
		{"a longer result", []string{"--resume", results["long"]}, exitFailed, "the result of request 0: it is not of this request"},
		{"a strange result", []string{"--resume", results["strange"]}, exitFailed, "99999"},
		{"no result", []string{"--resume", results["no"]}, exitFailed, "the result of request 0: json: cannot unmarshal array"},
		{"no token of the model", []string{"--resume", noToken}, exitFailed, "new token 0 is 99999, want 0 to"},
	} {
		before, _ := os.ReadFile(test.args[1])
		o := troupe(t, "", append([]string{"run", "-q"}, test.args...)...)
		if o.code != test.code || !strings.Contains(o.err, test.want) || o.out != "" || strings.Count(o.err, "\n") > 2 {
			t.Errorf("%s: exit %d, want %d, … %s …:\n%s%s", test.name, o.code, test.code, test.want, o.out, o.err)
		}
		if after, _ := os.ReadFile(test.args[1]); string(after) != string(before) && test.name != "other tokens" {
			t.Errorf("%s: the log has changed", test.name)
		}
	}
	if _, err := os.Stat(file("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log in which nothing was begun is left: %v", err)
	}

	// What would write files or start programs is named, and not done.
	hostile := open("hostile", func(h *tokenlog.Head) {
		h.Settings = append(h.Settings, tokenlog.Setting{Name: "plugin", Given: true, Values: []string{"/bin/true"}},
			tokenlog.Setting{Name: "kernel-events", Given: true, Values: []string{file("new")}}, tokenlog.Setting{Name: "trace", Given: true, Values: []string{file("new")}})
	})
	if o := troupe(t, "", "run", "--resume", hostile); !strings.Contains(o.err, "was begun with --plugin, --kernel-events, --trace too, which must be given again") {
		t.Errorf("flags of one run: %s", o.err)
	}
	if _, err := os.Stat(file("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log has had a file written: %v", err)
	}

	// What changes no token may be otherwise, and so may names of the same files.
	moved := write("moved", `{"prompt":"Tale:","max_tokens":9,"ignore_eos":true}`+"\n")
	for _, args := range [][]string{{"--resume", one}, {"--resume", piped}, {"--resume", one, "--temperature", "0.7", "--threads", "1", "--max-tokens", "9"}, {"--resume", one, "--token-log", one}} {
		if o := troupe(t, "", append([]string{"run", "-q"}, args...)...).ok(t); o.out != text {
			t.Errorf("%v: %q, want %q", args, o.out, text)
		}
	}
	troupe(t, "", "run", "-q", "--resume", whole, "--prompts", moved, "--max-batch", "7").ok(t)
	write("prompts", `{"prompt":"Tail:","max_tokens":9,"ignore_eos":true}`+"\n")
	if o := troupe(t, "", "run", "-q", "--resume", whole); o.code != exitFailed || !strings.Contains(o.err, "the file of --prompts is not what it was") {
		t.Errorf("changed prompts: exit %d: %s", o.code, o.err)
	}
	l, err := tokenlog.Open(one)
	if err != nil {
		t.Fatal(err)
	}
	if o := troupe(t, "", "run", "-q", "--resume", one); o.code != exitFailed || !strings.Contains(o.err, "another run writes into it") {
		t.Errorf("while another run has it: exit %d: %s", o.code, o.err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResumeFlags: the flags that are told apart are flags of run.
func TestResumeFlags(t *testing.T) {
	flags := newProgram(&interrupts{}, strings.NewReader(""), io.Discard, io.Discard).runCommand().Flags
	for _, name := range slices.Concat(fixedFlags, freeFlags) {
		if findFlag(flags, name) == nil {
			t.Errorf("run has no flag --%s", name)
		}
	}
}

// TestResumeInterrupted stops a run as Ctrl-C does: it says how to go on, and what goes on is whole.
func TestResumeInterrupted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	requests := strings.Repeat(`{"prompt":"Tale:","max_tokens":900,"ignore_eos":true}`+"\n", 4)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for range 10_000 {
			if raw, err := os.ReadFile(log); err == nil && strings.Contains(string(raw), `{"tokens":{`) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel(errInterrupted)
	}()
	o := troupeContext(ctx, requests, "run", "--prompts", "-", "--max-batch", "2", "--token-log", log)
	if o.code != exitFailed || !strings.Contains(o.err, " without a result: go on with: troupe run --resume "+log) {
		t.Fatalf("exit %d: %s", o.code, o.err)
	}
	want := troupe(t, requests, "run", "-q", "--prompts", "-").ok(t)
	got := troupe(t, "", "run", "--resume", log).ok(t)
	if untimed(got.out) != untimed(want.out) {
		t.Errorf("%s, want\n%s", got.out, want.out)
	}
	if !strings.Contains(got.err, log+" has the results of ") || strings.Contains(got.err, "go on with") {
		t.Errorf("standard error: %s", got.err)
	}
}
