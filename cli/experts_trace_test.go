package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/lab/page"
	"troupe/lab/trace"
	"troupe/router"
)

// The loads of a domain are those that the model's training code has counted.
func TestTraceCountsAsTheReference(t *testing.T) {
	long(t)
	raw, err := os.ReadFile("../model/demo/testdata/reference/expert_load.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Load map[string][][]float64 `json:"load"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	held, err := os.ReadFile("../model/demo/testdata/reference/heldout.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	const domain = "programs"
	file := filepath.Join(t.TempDir(), "programs.jsonl")
	var texts []byte
	for line := range bytes.Lines(held) {
		if bytes.Contains(line, []byte(`"domain": "`+domain+`"`)) {
			texts = append(texts, line...)
		}
	}
	if err := os.WriteFile(file, texts, 0o644); err != nil {
		t.Fatal(err)
	}
	var used [6][8]float64
	rows := 0.
	for _, d := range lines[routingDoc](t, troupe(t, "", "experts", "trace", "--arith", "exact", "--text", file, "--json").ok(t).out) {
		for _, r := range d.Rows {
			rows++
			for l, experts := range r.Experts {
				for _, e := range experts {
					used[l][e]++
				}
			}
		}
	}
	if len(want.Load[domain]) != 6 || rows < 2000 {
		t.Fatalf("%d layers, %v rows", len(want.Load[domain]), rows)
	}
	for l, loads := range want.Load[domain] {
		for e, load := range loads {
			if got := used[l][e] / (2 * rows); math.Abs(got-load) > 1e-4 { // they are rounded to 4 digits
				t.Errorf("layer %d, expert %d: %.5f, want %.4f", l, e, got, load)
			}
		}
	}
}

// What is written to a file is shown from it as it was; a page and JSON say the same.
func TestTraceFiles(t *testing.T) {
	dir := t.TempDir()
	out, html := filepath.Join(dir, "x.routing"), filepath.Join(dir, "x.html")
	args := []string{"experts", "trace", "--layer", "0-1,5"}
	first := troupe(t, "", append(args, "--out", out, "--html", html, "Recipe: <b>Two eggs</b>")...).ok(t)
	again := troupe(t, "", append(args, "--in", out)...).ok(t)
	if first.out != again.out || !strings.Contains(first.out, "\n·eggs ") || !strings.Contains(first.out, "layer   0   1   5") {
		t.Errorf("ran: %s\nread: %s", first.out, again.out)
	}
	docs := lines[routingDoc](t, troupe(t, "", "experts", "trace", "--in", out, "--json").ok(t).out)
	if len(docs) != 1 || len(docs[0].Rows) != len(docs[0].Tokens)-1 {
		t.Fatalf("%+v", docs)
	}
	text := ""
	for _, r := range docs[0].Rows {
		text += r.Text
		if len(r.Experts) != 6 || len(r.Experts[0]) != 2 || len(r.Gates[0]) != 2 || r.Gates[0][0] < r.Gates[0][1] || r.Gates[0][1] <= 0 {
			t.Errorf("%+v: want two experts in 6 layers, the likeliest first", r)
		}
	}
	if text != "Recipe: <b>Two eggs</b>" {
		t.Errorf("text %q", text)
	}
	file, err := os.ReadFile(html)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(file, []byte("data-r=")); n != len(docs[0].Rows) || bytes.Contains(file, []byte("<b>Two")) {
		t.Errorf("%d words on the page, want %d, escaped", n, len(docs[0].Rows))
	}
	// with --wrote a token has what the one before it has else
	shifted := lines[routingDoc](t, troupe(t, "", "experts", "trace", "--in", out, "--json", "--wrote").ok(t).out)[0]
	for i, r := range shifted.Rows {
		if was := docs[0].Rows[i]; r.Position != was.Position+1 || !slices.EqualFunc(r.Experts, was.Experts, slices.Equal) {
			t.Fatalf("row %d: %+v, want those of %+v", i, r, was)
		}
	}
	whole, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, whole[:len(whole)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy.routing")
	if o := troupe(t, "", append(args, "--in", out, "--out", copied)...); o.code != exitFailed || o.out != first.out || !strings.Contains(o.err, "the file was cut") {
		t.Errorf("cut: exit %d, %s%s", o.code, o.out, o.err)
	}
	if again, err := os.ReadFile(copied); err != nil || !bytes.Equal(again, whole) { // the one document was whole
		t.Errorf("%d bytes, %v, want the %d before the cut", len(again), err, len(whole))
	}
}

// More texts run at once than may wait for one before them: all come out, in their order.
func TestTraceOfManyTexts(t *testing.T) {
	long(t)
	const texts = 600
	var list strings.Builder
	for i := range texts {
		fmt.Fprintf(&list, "{\"text\":\"Tale %d\"}\n", i)
	}
	file := filepath.Join(t.TempDir(), "many.jsonl")
	if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	docs := lines[routingDoc](t, troupe(t, "", "experts", "trace", "--text", file, "--max-batch", "300", "--json").ok(t).out)
	if len(docs) != texts {
		t.Fatalf("%d texts, want %d", len(docs), texts)
	}
	for i, d := range docs {
		if d.ID != fmt.Sprint(i) {
			t.Fatalf("text %d is %s", i, d.ID)
		}
	}
}

// What is interrupted leaves no file.
func TestTraceInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	var requests strings.Builder
	for range 50 {
		requests.WriteString(`{"prompt": "Tale:", "max_tokens": 400, "ignore_eos": true}` + "\n")
	}
	timer := time.AfterFunc(300*time.Millisecond, func() { cancel(errInterrupted) })
	defer timer.Stop()
	o := troupeContext(ctx, requests.String(), "experts", "trace", "--prompts", "-", "--out", filepath.Join(dir, "x.routing"), "--html", filepath.Join(dir, "x.html"))
	if o.code != exitFailed || !strings.Contains(o.err, "cancelled") {
		t.Errorf("exit %d, %s", o.code, o.err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Texts that go on, alone or in company, with a stop string or without, have a row for each token but the last.
func TestTraceGoesOn(t *testing.T) {
	requests := `{"id": "a", "prompt": "Tale: The Fox", "max_tokens": 9, "temperature": 0, "experts": 1}
{"id": 7, "tokens": [571, 1996, 361], "max_tokens": 5}
{"id": "s", "prompt": "Sums:", "max_tokens": 60, "temperature": 0, "stop": "="}
`
	docs := lines[routingDoc](t, troupe(t, requests, "experts", "trace", "--prompts", "-", "--json").ok(t).out)
	if len(docs) != 3 || docs[0].ID != "a" || docs[1].ID != "7" || docs[2].ID != "s" || docs[0].Experts != "1" || docs[1].Experts != "" {
		t.Fatalf("%+v", docs)
	}
	for _, d := range docs {
		if len(d.Rows) != len(d.Tokens)-1 || d.Prompt >= len(d.Tokens) {
			t.Errorf("%s: %d rows of %d tokens, %d of them given", d.ID, len(d.Rows), len(d.Tokens), d.Prompt)
		}
		for i, r := range d.Rows {
			want := 2
			if d.ID == "a" {
				want = 1
			}
			if r.Position != i || len(r.Experts[3]) != want {
				t.Errorf("%s: row %d: %+v", d.ID, i, r)
			}
		}
	}
	if n := len(docs[0].Tokens) - docs[0].Prompt; n != 9 {
		t.Errorf("%d new tokens, want 9", n)
	}
	if n := len(docs[2].Tokens) - docs[2].Prompt; n >= 60 {
		t.Errorf("%d new tokens before a stop string", n)
	}
	alone := lines[routingDoc](t, troupe(t, "", "experts", "trace", "--json", "--max-tokens", "9", "--temperature", "0", "--experts", "1", "Tale: The Fox").ok(t).out)[0]
	if !slices.Equal(alone.Tokens, docs[0].Tokens) || !slices.EqualFunc(alone.Rows, docs[0].Rows, func(a, b routingRow) bool {
		return slices.EqualFunc(a.Experts, b.Experts, slices.Equal) && slices.EqualFunc(a.Gates, b.Gates, slices.Equal)
	}) {
		t.Error("alone it is another one")
	}
}

func TestTraceUsage(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.txt")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--in x --text y", exitUsage, "give one of them"},
		{"--layer 6 x", exitUsage, `--layer: "6", want layers of 0 to 5`},
		{"--layer 2-1 x", exitUsage, "want layers of 0 to 5"},
		{"--show -1 x", exitUsage, "--show: -1, want 0 or more"},
		{"--text " + empty + " --max-tokens 3", exitUsage, "by --prompts"},
		{"--text " + empty, exitFailed, "there is nothing to look at"},
		{"--in ../cli/testdata/run.txt", exitFailed, "it is not a file of routing"},
		{"--html " + dir + "/none/x.html x", exitFailed, "no such file"},
	} {
		if o := troupe(t, "", append([]string{"experts", "trace"}, strings.Fields(c.args)...)...); o.code != c.code || !strings.Contains(o.err, c.want) {
			t.Errorf("%s: exit %d, %s, want %d, %s", c.args, o.code, o.err, c.code, c.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*partial*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// On a terminal words have colours that end with their lines; without colours, numbers; with many experts, both.
func TestTextView(t *testing.T) {
	word := func(text string, e int32) page.Word {
		return page.Word{Text: text, Routed: true, Path: router.Path{Start: []int32{0, 1}, Expert: []int32{e}, Gate: []float32{1}}}
	}
	words := []page.Word{word("On", 3), word("ce\n", 3), word(" up\x1b", 12), {Text: "end"}}
	for _, c := range []struct {
		ink     ink
		experts int
		want    string
	}{
		{noInk, 8, "Once³\n up␛¹²end\n"},
		{ink256, 8, "\x1b[48;5;221;38;5;16mOnce↵\x1b[0m\n\x1b[4;48;5;25;38;5;231m up␛\x1b[0mend\n"},
		{ink256, 16, "\x1b[48;5;221;38;5;16mOnce³↵\x1b[0m\n\x1b[4;48;5;25;38;5;231m up␛¹²\x1b[0mend\n"},
		{fullInk, 8, "\x1b[48;2;240;228;66;38;2;0;0;0mOnce↵\x1b[0m\n\x1b[4;48;2;0;114;178;38;2;255;255;255m up␛\x1b[0mend\n"},
	} {
		var b strings.Builder
		v := textView{ink: c.ink, columns: 80, experts: c.experts, layers: []int{0}}
		if err := v.write(&b, words); err != nil || b.String() != c.want {
			t.Errorf("ink %d, %d experts: %q, want %q", c.ink, c.experts, b.String(), c.want)
		}
	}
	var wrapped strings.Builder
	narrow := textView{ink: fullInk, columns: 6, experts: 8, layers: []int{0}}
	if err := narrow.write(&wrapped, []page.Word{{Text: "one two"}, {Text: " threefour"}}); err != nil || wrapped.String() != "one \ntwo \nthreef\nour\n" {
		t.Errorf("in 6 columns: %q", wrapped.String())
	}
	var b strings.Builder
	v := textView{ink: noInk, columns: 30, experts: 8, layers: []int{0, 0, 0, 0}} // three fit
	if err := v.write(&b, words[2:]); err != nil || strings.Count(b.String(), "\n") != 6 {
		t.Errorf("strips:\n%s", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if len([]rune(line)) > 31 {
			t.Errorf("%q is wider than 30 columns", line)
		}
	}
}

// Ids are shown where the tokenizer is another model's.
func TestTraceOfAnotherTokenizer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.routing")
	for _, d := range []*trace.Doc{{Tokens: []int32{5, 1 << 20}}, {Tokens: []int32{571, 572}, Text: "another text"}} {
		w, err := trace.Create(name, trace.Header{NumLayers: 1, NumExperts: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(d); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if o := troupe(t, "", "experts", "trace", "--in", name).ok(t); !strings.HasPrefix(o.out, strings.ReplaceAll(formatIDs(d.Tokens), ",", " ")+" \n") || !strings.Contains(o.err, "does not spell") {
			t.Errorf("%s%s", o.out, o.err)
		}
	}
}

// Whatever a file says, no command sends it to the terminal as it is.
func TestTracesAreHostile(t *testing.T) {
	const evil = "\x1b[2J\u202e\r"
	name := filepath.Join(t.TempDir(), "x.routing")
	w, err := trace.Create(name, trace.Header{Model: evil, Experts: evil, Arith: evil, Kernels: evil, NumLayers: 1, NumExperts: 2})
	if err != nil {
		t.Fatal(err)
	}
	path := router.Path{Start: []int32{0, 1}, Expert: []int32{1}, Gate: []float32{float32(math.NaN())}}
	d := &trace.Doc{ID: evil, Domain: evil, Experts: evil, Tokens: []int32{571, 572}, Rows: []router.RowRouting{{Token: 571, Path: path}}}
	if err := errors.Join(w.Add(d), w.Add(d), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"trace --in", "trace --layer all --in", "trace --json --in", "heatmap --by domain", "heatmap --what gate", "heatmap --what similarity", "heatmap --json --top-tokens 3", "diff --json " + name, "diff " + name} {
		o := troupe(t, "", append([]string{"experts"}, append(strings.Fields(args), name)...)...).ok(t)
		bad := "\x1b\r"
		if !strings.Contains(args, "--json") { // which has texts as they are, in its own escapes
			bad += "\u202e"
		}
		if i := strings.IndexAny(o.out+o.err, bad); i >= 0 {
			t.Errorf("%s: %q", args, (o.out + o.err)[i:])
		}
	}
}

func FuzzReadLayers(f *testing.F) {
	for _, spec := range []string{"all", "last", "0", "0-2,5", "5,0-2", "2-1", "-1", "99999999999", "0-99999999", ",", "1-2-3", " 1 "} {
		f.Add(spec, 6)
	}
	f.Fuzz(func(t *testing.T, spec string, layers int) {
		if layers < 1 || layers > 1<<14 {
			return
		}
		list, err := readLayers(spec, layers)
		if err != nil {
			return
		}
		if len(list) == 0 || len(list) > layers || list[0] < 0 || list[len(list)-1] >= layers || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Fatalf("%q of %d layers: %v", spec, layers, list)
		}
	})
}
