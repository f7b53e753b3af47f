package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/lab/page"
	"troupe/lab/trace"
	"troupe/router"
	"troupe/stages/sched"
	"troupe/tokens"
)

// traced is a text whose routing is to be recorded.
type traced struct {
	id, domain, text string
	job              job
}

// recording runs texts with their routing.
type recording struct {
	*program
	launch    launch
	tokenizer *tokens.Tokenizer
	policy    router.Policy // of texts that state none
	header    trace.Header
	list      []traced
	generator *generator
}

// textFlags say what is run with its routing recorded.
func textFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "text", Usage: "`FILE` to judge, .txt or .jsonl, as for eval", TakesFile: true},
		&cli.BoolFlag{Name: "no-eos", Usage: "do not end judged texts with EOS"},
	}
}

// newRecording opens the tokenizer and says what the header of a trace has.
func (p *program) newRecording(c *cli.Context) (*recording, error) {
	l, err := p.readLaunch(c)
	if err != nil {
		return nil, err
	}
	r := &recording{program: p, launch: l}
	if r.tokenizer, err = fittingTokenizer(l.dir, l.config); err != nil {
		return nil, err
	}
	if r.policy, err = readExperts(c, l.config); err != nil {
		return nil, err
	}
	r.header = l.traceHeader(r.policy)
	r.generator = &generator{tokenizer: r.tokenizer, config: l.config}
	return r, nil
}

// judge adds texts that are read and not continued.
func (r *recording) judge(c *cli.Context, documents []document) error {
	eos := int32(r.launch.config.EOSToken)
	if c.Bool("no-eos") {
		eos = -1
	}
	if err := encodeDocuments(documents, r.tokenizer, eos, r.launch.config.SequenceLen); err != nil {
		return err
	}
	for i, d := range documents {
		if len(d.ids) < 2 {
			continue // no row of it is computed
		}
		r.list = append(r.list, traced{id: fmt.Sprint(i), domain: d.domain, text: d.text,
			job: job{request: sched.Request{Prompt: d.ids, Policy: r.policy, EOS: -1, Mode: sched.Score, Trace: true}}})
	}
	if len(r.list) == 0 {
		return errors.New("no text with two tokens or more: there is nothing to look at")
	}
	return nil
}

// continued adds a prompt with what the model writes behind it.
func (r *recording) continued(p prompt) error {
	j := r.generator.prepare(p)
	if j.err != nil {
		return fmt.Errorf("request %s: %w", p.id, j.err)
	}
	j.request.Trace = true
	id := string(p.id)
	var text string
	if json.Unmarshal(p.id, &text) == nil {
		id = text
	}
	r.list = append(r.list, traced{id: id, job: j})
	return nil
}

// run starts the engine, and hands out the documents in the order of the list. What it hands out is the receiver's.
func (r *recording) run(ctx context.Context, each func(*trace.Doc) error) (err error) {
	requests := make([]sched.Request, len(r.list))
	scored := false
	for i, t := range r.list {
		requests[i] = t.job.request
		scored = scored || t.job.request.Mode == sched.Score
	}
	r.launch.limit(requests, scored)
	for _, t := range r.list {
		if err := r.launch.check(t.job.request); err != nil {
			return fmt.Errorf("text %s: %w", t.id, err)
		}
	}
	session, err := r.start(ctx, r.launch)
	if err != nil {
		return err
	}
	defer closeInto(&err, session.Close)
	r.generator.engine = session.fleet
	return r.inOrder(ctx, each)
}

// ahead bounds how far texts begin before the one that is handed out next: their routing is in memory.
const ahead = 64

// inOrder runs the texts, several at a time.
func (r *recording) inOrder(ctx context.Context, each func(*trace.Doc) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	report, end := r.progress("reading texts", inTexts)
	defer end()
	var mu sync.Mutex
	done, next := map[int]*trace.Doc{}, 0
	moved := sync.NewCond(&mu) // next, or ctx has ended
	defer context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		moved.Broadcast()
	})()
	begins := func(i int) bool { // false: ctx has ended
		mu.Lock()
		defer mu.Unlock()
		for i >= next+ahead && ctx.Err() == nil {
			moved.Wait()
		}
		return ctx.Err() == nil
	}
	err := inParallel(len(r.list), r.launch.concurrency(), func(i int) {
		err := errors.New("BUG: a text has no end") // unless it has
		defer func() {
			if err != nil {
				cancel(err)
			}
		}()
		if !begins(i) {
			err = nil
			return
		}
		doc, fault := r.one(ctx, r.list[i])
		if err = fault; err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for done[i] = doc; done[next] != nil && err == nil; next++ {
			err = each(done[next])
			delete(done, next)
			report(int64(next+1), int64(len(r.list)))
		}
		moved.Broadcast()
	})
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

// one runs a text to its end.
func (r *recording) one(ctx context.Context, t traced) (*trace.Doc, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	request := t.job.request
	doc := &trace.Doc{ID: t.id, Domain: t.domain, Text: t.text, Prompt: len(request.Prompt), Tokens: slices.Clone(request.Prompt)}
	if spec := request.Policy.String(); spec != r.header.Experts {
		doc.Experts = spec
	}
	text, err := r.generator.newText(t.job)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.generator.engine.Submit(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("text %s: %w", t.id, err)
	}
	stopped := false
	for e := range stream.Events() {
		switch {
		case e.Done && e.Err != nil && !stopped:
			return nil, fmt.Errorf("text %s: %w", t.id, e.Err)
		case e.Done && e.Finish == sched.Cancelled && !stopped:
			return nil, context.Cause(ctx)
		case stopped: // what was on its way
			continue
		}
		doc.Rows = append(doc.Rows, e.Routing...)
		if e.Done || request.Mode != sched.Generate {
			continue
		}
		doc.Tokens = append(doc.Tokens, e.Token)
		_, hit, err := text.next(e.Token)
		if err != nil {
			return nil, err
		}
		if hit {
			stopped = true
			cancel()
		}
	}
	if request.Mode == sched.Generate {
		if doc.Text, err = r.tokenizer.Decode(doc.Tokens); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// about is the run in a few words, for people; a file's may be hostile to terminals.
func about(h trace.Header) []string {
	list := []string{h.Model, fmt.Sprintf("%d layers of %d experts", h.NumLayers, h.NumExperts), "experts " + h.Experts, h.Arith}
	list = slices.DeleteFunc(list, func(s string) bool { return strings.TrimPrefix(s, "experts ") == "" })
	for i := range list {
		list[i] = strings.ReplaceAll(page.Visible(list[i]), "\n", " ")
	}
	return list
}
