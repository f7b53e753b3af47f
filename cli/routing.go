package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/lab/trace"
	"troupe/router"
)

func routingTraceFlag(category string) cli.Flag {
	return &cli.StringFlag{Name: "routing-trace", TakesFile: true, Category: category,
		Usage: "`FILE` for the experts of every token, with their gates, in a compact form"}
}

// pathLists is the experts of a row, a list a layer, by rank: a key of the events of run, and so a promise.
type pathLists [][]int32

func listsOf(p router.Path) pathLists {
	lists := make(pathLists, p.Layers())
	for l := range lists {
		lists[l], _ = p.At(l)
	}
	return lists
}

// routingOf collects what the events of a request say of its rows.
type routingOf struct {
	shown bool                // in events and the result
	file  *routingFile        // nil: none
	rows  []router.RowRouting // for the file
}

// add takes the rows of an event, and returns the experts of the row that it was drawn from. Those of the prompt go into
// the result.
func (o *routingOf) add(rows []router.RowRouting, r *result) pathLists {
	if len(rows) == 0 {
		return nil
	}
	if o.file != nil {
		o.rows = append(o.rows, rows...)
	}
	if !o.shown {
		return nil
	}
	for _, row := range rows {
		if row.Position < r.PromptTokens {
			r.PromptRouting = append(r.PromptRouting, listsOf(row.Path))
		}
	}
	return listsOf(rows[len(rows)-1].Path)
}

// finish writes the request into the file, if there is one and rows were computed.
func (o *routingOf) finish(j job, r *result) {
	if o.file == nil || len(o.rows) == 0 {
		return
	}
	d := &trace.Doc{ID: string(j.id), Experts: j.request.Policy.String(), Prompt: len(j.request.Prompt),
		Tokens: slices.Concat(j.request.Prompt, r.Tokens), Rows: o.rows}
	if text := ""; json.Unmarshal(j.id, &text) == nil {
		d.ID = text
	}
	if j.text != nil {
		d.Text = *j.text + r.Text
	}
	o.file.add(d)
}

// routingFile is the file of --routing-trace. Documents come in the order in which they end. A nil one takes nothing.
type routingFile struct {
	mu      sync.Mutex
	w       *trace.Writer
	experts string // the policy of the header
	err     error  // the first
}

// traceHeader says what documents of this engine are computed with.
func (l launch) traceHeader(policy router.Policy) trace.Header {
	m := l.config.Model
	return trace.Header{Model: l.dir.name, NumLayers: m.NumLayers, NumExperts: m.NumExperts, NumSelected: m.NumSelectedExperts,
		Experts: policy.String(), Arith: l.arith.String(), Kernels: l.binding.String()}
}

// newRoutingFile begins the file; "" is none.
func newRoutingFile(path string, l launch, policy router.Policy) (*routingFile, error) {
	if path == "" {
		return nil, nil
	}
	w, err := trace.Create(path, l.traceHeader(policy))
	return &routingFile{w: w, experts: policy.String()}, err
}

func (f *routingFile) add(d *trace.Doc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.Experts == f.experts {
		d.Experts = ""
	}
	if err := f.w.Add(d); f.err == nil { // one that cannot be written is no reason to drop the others
		f.err = err
	}
}

// Close ends the file.
func (f *routingFile) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.w.Close(); f.err == nil {
		f.err = err
	}
	if f.err != nil {
		return fmt.Errorf("--routing-trace: %w", f.err)
	}
	return nil
}
