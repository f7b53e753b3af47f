package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// greedy is what the demo's recipe has recorded.
type greedy struct {
	Prompt string  `json:"prompt"`
	Tokens []int32 `json:"tokens"`
	Greedy []int32 `json:"greedy"`
	Text   string  `json:"text"`
}

func recorded(t *testing.T) []greedy {
	t.Helper()
	raw, err := os.ReadFile("../model/demo/testdata/reference/greedy.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Prompts []greedy `json:"prompts"`
	}
	if err := json.Unmarshal(raw, &all); err != nil || len(all.Prompts) == 0 {
		t.Fatal(err)
	}
	return all.Prompts
}

// lines reads JSONL.
func lines[T any](t *testing.T, text string) (list []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, v)
	}
	return list
}

// TestGreedy runs every recorded prompt in one file of requests, as text and as ids.
func TestGreedy(t *testing.T) {
	prompts := recorded(t)
	for _, asText := range []bool{true, false} {
		var in strings.Builder
		for i, p := range prompts {
			l := map[string]any{"id": fmt.Sprint("r", i), "temperature": 0, "max_tokens": len(p.Greedy), "ignore_eos": true}
			if asText {
				l["prompt"] = p.Prompt
			} else {
				l["tokens"] = p.Tokens
			}
			if err := writeJSON(&in, l); err != nil {
				t.Fatal(err)
			}
		}
		o := troupe(t, in.String(), "run", "--prompts", "-", "--arith", "exact", "--stages", "2", "--max-batch", "5").ok(t)
		results := lines[result](t, o.out)
		for i, r := range results {
			p := prompts[i]
			if string(r.ID) != fmt.Sprintf(`"r%d"`, i) || r.Finish != "length" || r.PromptTokens != len(p.Tokens) {
				t.Errorf("request %d: id %s, finish %s, %d prompt tokens", i, r.ID, r.Finish, r.PromptTokens)
			}
			if !slices.Equal(r.Tokens, p.Greedy) {
				t.Errorf("request %d: tokens %v, want %v", i, r.Tokens, p.Greedy)
			}
			if r.SecondsPrefill <= 0 || r.SecondsDecode <= 0 || r.TokensPerSecond <= 0 {
				t.Errorf("request %d: times %v %v %v", i, r.SecondsPrefill, r.SecondsDecode, r.TokensPerSecond)
			}
			if !slices.Contains(r.Tokens, 2) && r.Text != p.Text {
				t.Errorf("request %d: text %q, want %q", i, r.Text, p.Text)
			}
		}
		if len(results) != len(prompts) || !strings.Contains(o.err, fmt.Sprintf("%d requests, 0 failed", len(prompts))) {
			t.Errorf("%d results of %d: %s", len(results), len(prompts), o.err)
		}
	}
}

// TestTogether has the same requests alone and together: company changes nothing, whatever the sampling.
func TestTogether(t *testing.T) {
	requests := []string{
		`{"prompt":"Tale: A","seed":1,"max_tokens":9}`,
		`{"prompt":"Recipe: Soup","experts":1,"temperature":1.5,"top_k":40,"max_tokens":12}`,
		`{"prompt":"Sums: Addition","experts":"0-2:1,5:8","top_p":0.9,"min_p":0.01,"max_tokens":10}`,
		`{"prompt":"Tale: The Lost Lantern\n\n","stop":["winter","and"],"temperature":0,"max_tokens":40}`,
		`{"prompt":"Records: People as CSV","sampler":"jax-f32","nucleus_p":0.8,"max_len":7}`,
	}
	want := map[string][]int32{}
	for _, r := range requests {
		one := lines[result](t, troupe(t, r, "run", "-q", "--prompts", "-").ok(t).out)[0]
		want[r] = one.Tokens
	}
	all := lines[result](t, troupe(t, strings.Join(requests, "\n"), "run", "-q", "--prompts", "-", "--devices", "cpu:1,cpu:1", "--prefill-chunk", "3", "--max-batch", "3").ok(t).out)
	for i, r := range requests {
		if !slices.Equal(all[i].Tokens, want[r]) {
			t.Errorf("%s: %v together, %v alone", r, all[i].Tokens, want[r])
		}
	}
	if s := all[3]; s.Finish != "stop" || strings.Contains(s.Text, "winter") || strings.Contains(s.Text, " and") {
		t.Errorf("stop strings: finish %s, text %q", s.Finish, s.Text)
	}
}

// TestEvents compares the stream of events with the result behind it.
func TestEvents(t *testing.T) {
	o := troupe(t, "", "run", "-q", "--json", "--max-tokens", "30", "--stop", "Nothing like it.", "Tale: The Long Bridge").ok(t)
	events := lines[map[string]any](t, o.out)
	last := lines[result](t, o.out[strings.LastIndex(strings.TrimSuffix(o.out, "\n"), "\n")+1:])[0]
	text, n := "", 0
	for _, e := range events[:len(events)-1] {
		text += e["text"].(string)
		if _, isToken := e["token"]; isToken {
			if int(e["token"].(float64)) != int(last.Tokens[n]) || int(e["index"].(float64)) != n || e["logprob"].(float64) > 0 {
				t.Errorf("event %v, want token %d at %d", e, last.Tokens[n], n)
			}
			n++
		}
	}
	if n != 30 || text != last.Text || last.Finish != "length" || string(last.ID) != "0" {
		t.Errorf("%d tokens, text %q, last %+v", n, text, last)
	}
	plain := troupe(t, "", "run", "-q", "--max-tokens", "30", "Tale: The Long Bridge").ok(t)
	if plain.out != last.Text {
		t.Errorf("text %q, want that of the events %q", plain.out, last.Text)
	}
	var keys []string
	for k := range events[len(events)-1] {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if want := []string{"finish", "id", "prompt_tokens", "seconds_decode", "seconds_prefill", "text", "tokens", "tokens_per_second"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
}

// TestTrace reads the trace of a pipeline: every stage on its device, every expert on its own.
func TestTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	troupe(t, "", "run", "-q", "--max-tokens", "4", "--devices", "cpu:1,cpu:1", "--expert-devices", "cpu:1", "--placement", "spread", "--trace", path, "Tale:").ok(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Cat string
		Ph  string
		Pid int
		Dur float64
	}
	if err := json.Unmarshal(raw, &events); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		if count[e.Cat+e.Ph]++; e.Ph == "X" && (e.Dur <= 0 || (e.Cat == "expert") != (e.Pid == 2)) {
			t.Errorf("%+v: experts live on device 2, stages on 0 and 1", e)
		}
	}
	// Four batches, the prompt and three tokens, through 2 stages of 3 layers: 4 segments each.
	if count["M"] != 3 || count["stageX"] != 4*2*4 || count["expertX"] < 4*6*2 {
		t.Errorf("events %v", count)
	}
}

// TestPartlyFailed has bad requests among good ones: the good ones are run.
func TestPartlyFailed(t *testing.T) {
	in := strings.Join([]string{
		`{"prompt":"Tale:","max_tokens":2}`, `{"prompt":""}`, `{"id":"x","tokens":[0,9999]}`,
		`{"prompt":"Tale:","max_tokens":1024}`, `{"id":5.5,"tokens":[571,1996],"max_tokens":2}`,
	}, "\n")
	for _, flags := range [][]string{nil, {"--json"}} {
		o := troupe(t, in, append([]string{"run", "--prompts", "-"}, flags...)...)
		if o.code != exitFailed || !strings.Contains(o.err, "3 of 5 requests failed") {
			t.Fatalf("exit %d: %s", o.code, o.err)
		}
		byID := map[string]result{}
		for _, r := range lines[result](t, o.out) {
			if r.Finish != "" {
				byID[string(r.ID)] = r
			}
		}
		for id, want := range map[string]string{"0": "length", "1": "failed", `"x"`: "failed", "3": "failed", "5.5": "length"} {
			r := byID[id]
			if r.Finish != want || (r.Error != "") != (want == "failed") || r.Tokens == nil {
				t.Errorf("id %s: %+v, want finish %s", id, r, want)
			}
		}
	}
}

// TestEOS lets the demo end its text: the id is not part of it.
func TestEOS(t *testing.T) {
	o := troupe(t, "", "run", "--json", "--temperature", "0", "--max-tokens", "1000", "Sums: Counting by 7")
	r := lines[result](t, o.ok(t).out)
	last := r[len(r)-1]
	if last.Finish != "eos" || slices.Contains(last.Tokens, 2) || !strings.Contains(o.err, "finish eos") {
		t.Errorf("finish %s, tokens %v: %s", last.Finish, last.Tokens, o.err)
	}
}

// TestDefaultLength fills what the context leaves, and says so.
func TestDefaultLength(t *testing.T) {
	ids := formatIDs(slices.Repeat([]int32{571, 1996}, 510))
	o := troupe(t, "", "run", "--ids", "--ignore-eos", "--tokens", ids).ok(t)
	if n := strings.Count(o.out, ",") + 1; n != 4 || !strings.Contains(o.err, "finish length (--max-tokens was not given)") {
		t.Errorf("%d tokens behind 1020 of 1024: %s", n, o.err)
	}
	if o := troupe(t, "", "run", "--ids", "--tokens", ids+",1,1,1,1"); o.code != exitFailed || !strings.Contains(o.err, "1024") {
		t.Errorf("full context: exit %d, %s", o.code, o.err)
	}
}

// TestCancelled stops a text half-way: what was made is printed.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &watched{after: 40, then: func() { cancel(errInterrupted) }}
	var stderr strings.Builder
	start := time.Now()
	code := run(ctx, &interrupts{}, strings.Fields("troupe run --ignore-eos --max-tokens 1000 Tale:"), strings.NewReader(""), out, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "finish cancelled") || !strings.HasSuffix(stderr.String(), "troupe: cancelled\n") {
		t.Errorf("exit %d after %v: %s", code, time.Since(start), stderr.String())
	}
	if out.n < 40 || out.n > 2000 {
		t.Errorf("%d bytes printed", out.n)
	}
}

// TestClosedPipe has a reader that goes away: no message, but an exit code.
func TestClosedPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there a closed pipe is another error")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var stderr strings.Builder
	code := run(t.Context(), &interrupts{}, strings.Fields("troupe run -q Tale:"), strings.NewReader(""), w, &stderr)
	if code != exitFailed || stderr.String() != "" {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}

// watched is a writer that calls a function after some bytes.
type watched struct {
	n     int
	after int
	then  func()
}

func (w *watched) Write(b []byte) (int, error) {
	if w.n += len(b); w.n >= w.after && w.then != nil {
		w.then()
		w.then = nil
	}
	return io.Discard.Write(b)
}

// TestPadSizes reports the bucket that holds a prompt.
func TestPadSizes(t *testing.T) {
	for ids, bucket := range map[string]int{"571": 2, "571,1996": 2, "571,1996,361": 7} {
		o := troupe(t, "", "run", "--json", "--ids", "--max-tokens", "1", "--pad-sizes", "2,7", "--tokens", ids).ok(t)
		r := lines[result](t, o.out)
		if got := r[len(r)-1].PadBucket; got != bucket || !strings.Contains(o.err, fmt.Sprint("bucket ", bucket)) {
			t.Errorf("%s: bucket %d, want %d: %s", ids, got, bucket, o.err)
		}
	}
}
