package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"troupe/lab/trace"
)

// routingDocs reads a file of routing.
func routingDocs(t *testing.T, path string) (trace.Header, []*trace.Doc) {
	t.Helper()
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var docs []*trace.Doc
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Header, docs
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
}

// routedLine is what the tests read of a line of run --json.
type routedLine struct {
	Index         *int        `json:"index"`
	Tokens        []int32     `json:"tokens"`
	Routing       []pathLists `json:"-"`
	PromptRouting []pathLists `json:"prompt_routing"`
}

// The experts in the events are those of the file, and the file has the whole text: a row for each token but the last.
func TestRunRouting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.routing")
	o := troupe(t, "", "run", "-q", "--json", "--routing", "--routing-trace", path, "--experts", "0-2:1,3-5:3", "--max-tokens", "5", "--stages", "2", "--prefill-chunk", "2", "Tale: The Fox").ok(t)
	h, docs := routingDocs(t, path)
	want := trace.Header{Model: "the embedded demo", NumLayers: 6, NumExperts: 8, NumSelected: 2, Experts: "0-2:1,3-5:3", Arith: "int8", Kernels: os.Getenv("TROUPE_KERNELS")}
	if h != want {
		t.Errorf("header %+v, want %+v", h, want)
	}
	var events []pathLists
	var last routedLine
	for line := range strings.Lines(o.out) {
		var e struct {
			Routing pathLists `json:"routing"`
		}
		if err := errors.Join(json.Unmarshal([]byte(line), &last), json.Unmarshal([]byte(line), &e)); err != nil {
			t.Fatal(err)
		}
		if e.Routing != nil {
			events = append(events, e.Routing)
		}
	}
	if len(docs) != 1 || len(events) != 5 || len(last.Tokens) != 5 {
		t.Fatalf("%d documents, %d events with routing, want 1, 5", len(docs), len(events))
	}
	d := docs[0]
	if d.ID != "0" || d.Experts != "" || !strings.HasPrefix(d.Text, "Tale: The Fox") || len(d.Rows) != d.Prompt+4 || len(d.Tokens) != d.Prompt+5 || len(last.PromptRouting) != d.Prompt {
		t.Errorf("document %q, %d rows, %d tokens, %d of the prompt", d.ID, len(d.Rows), len(d.Tokens), d.Prompt)
	}
	for i, row := range d.Rows {
		lists := listsOf(row.Path)
		if len(lists[0]) != 1 || len(lists[5]) != 3 {
			t.Errorf("row %d: experts %v, want 1 in layer 0, 3 in layer 5", i, lists)
		}
		if i < d.Prompt && !reflect.DeepEqual(last.PromptRouting[i], lists) {
			t.Errorf("prompt_routing %d: %v, in the file %v", i, last.PromptRouting[i], lists)
		}
		if i >= d.Prompt-1 && !reflect.DeepEqual(events[i-d.Prompt+1], lists) {
			t.Errorf("token %d: %v, in the file %v", i-d.Prompt+1, events[i-d.Prompt+1], lists)
		}
	}
}

// A request asks for itself; without --json its result has the experts of its new tokens.
func TestRoutingOfRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.routing")
	in := `{"id": "a", "prompt": "Tale:", "max_tokens": 3, "routing": true, "experts": 4}` + "\n" + `{"id": 7, "tokens": [5, 9], "max_tokens": 2}` + "\n"
	o := troupe(t, in, "run", "-q", "--prompts", "-", "--routing-trace", path).ok(t)
	var lines [2]struct {
		Tokens  []int32
		Routing []pathLists
		Prompt  []pathLists `json:"prompt_routing"`
	}
	for i, line := range strings.Split(strings.TrimSpace(o.out), "\n") {
		if err := json.Unmarshal([]byte(line), &lines[i]); err != nil {
			t.Fatal(err)
		}
	}
	if l := lines[0]; len(l.Routing) != 3 || len(l.Prompt) == 0 || len(l.Routing[2][5]) != 4 {
		t.Errorf("%+v, want the routing of 3 tokens with 4 experts", l)
	}
	if l := lines[1]; l.Routing != nil || l.Prompt != nil {
		t.Errorf("%+v did not ask for its routing", l)
	}
	_, docs := routingDocs(t, path)
	ids := map[string]*trace.Doc{}
	for _, d := range docs {
		ids[d.ID] = d
	}
	if len(docs) != 2 || ids["a"].Experts != "4" || ids["7"].Experts != "" || ids["7"].Text != "" || len(ids["7"].Rows) != 3 {
		t.Errorf("documents %+v", ids)
	}
	if o := troupe(t, "", "run", "--routing", "x"); o.code != exitUsage || !strings.Contains(o.err, "--routing: text has no place for it: give --json too") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	if o := troupe(t, "", "run", "-q", "--max-tokens", "2", "--routing-trace", filepath.Join(path, "y"), "x"); o.code != exitFailed || !strings.Contains(o.err, "trace: open") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// A text that is judged leaves its routing with its domain, in either way of judging.
func TestEvalRoutingTrace(t *testing.T) {
	dir := t.TempDir()
	text, path := filepath.Join(dir, "x.jsonl"), filepath.Join(dir, "x.routing")
	if err := os.WriteFile(text, []byte(`{"text": "Tale: The Fox", "domain": "tales"}`+"\n"+`{"text": ""}`+"\n"+`{"text": "Sums: 1 + 1 = 2"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var first []*trace.Doc
	for i, args := range [][]string{nil, {"--against", "exact"}} {
		troupe(t, "", append([]string{"eval", "-q", "--text", text, "--routing-trace", path, "--stages", "3"}, args...)...).ok(t)
		_, docs := routingDocs(t, path)
		if len(docs) != 2 {
			t.Fatalf("%d documents, want the 2 that are judged", len(docs))
		}
		byID := map[string]*trace.Doc{docs[0].ID: docs[0], docs[1].ID: docs[1]}
		for id, domain := range map[string]string{"0": "tales", "2": ""} {
			if d := byID[id]; d == nil || d.Domain != domain || len(d.Rows) != len(d.Tokens)-1 || d.Prompt != len(d.Tokens) || d.Text == "" {
				t.Errorf("document %s: %+v", id, d)
			}
		}
		docs = []*trace.Doc{byID["0"], byID["2"]}
		if i > 0 && !reflect.DeepEqual(docs, first) {
			t.Error("judged against a second arithmetic, the first one's routing is another")
		}
		first = docs
	}
}

func TestTelemetryOff(t *testing.T) {
	troupe(t, "", "run", "-q", "--telemetry=false", "--max-tokens", "2", "Tale:").ok(t)
}

// A document that no file can hold is told of, and those behind it are kept.
func TestRoutingFileKeepsTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.routing")
	w, err := trace.Create(path, trace.Header{NumLayers: 1, NumExperts: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := &routingFile{w: w}
	for _, d := range []*trace.Doc{{ID: "a"}, {ID: "b", Tokens: []int32{-1}}, {ID: "c"}} {
		f.add(d)
	}
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "token 0 is -1") {
		t.Errorf("error %v", err)
	}
	if _, docs := routingDocs(t, path); len(docs) != 2 || docs[1].ID != "c" {
		t.Errorf("%d documents, want a and c", len(docs))
	}
}
