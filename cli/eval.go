package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/router"
	"troupe/stages/sched"
)

func (p *program) evalCommand() *cli.Command {
	return &cli.Command{
		Name: "eval", Usage: "perplexity of a model on a text",
		Description: `A .txt file is one document, a .jsonl file one a line ("text", and "domain" if
wanted). A document is encoded, ended with EOS, and judged on its own: the loss
is the mean of -ln p over all its ids but the first, in nats.

troupe eval --text book.txt
troupe eval --text heldout.jsonl --experts 1 --json`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "text", Usage: "`FILE` to judge, .txt or .jsonl", DefaultText: "required", TakesFile: true},
			&cli.BoolFlag{Name: "no-eos", Usage: "do not end documents with EOS"},
			&cli.BoolFlag{Name: "documents", Usage: "list every document in the table; --json always does"},
			jsonFlag("print one JSON object instead of a table"),
			expertsFlag(""),
		}, engineFlags()...),
		Action: p.eval,
	}
}

func (p *program) eval(c *cli.Context) (err error) {
	l, err := readLaunch(c)
	if err != nil {
		return err
	}
	policy, err := readExperts(c, l.config)
	if err != nil {
		return err
	}
	file := c.String("text")
	if file == "" {
		return usagef("--text: no file: say what to judge")
	}
	list, err := readDocuments(file)
	if err != nil {
		return err
	}
	t, err := fittingTokenizer(l.dir, l.config)
	if err != nil {
		return err
	}
	eos := int32(l.config.EOSToken)
	if c.Bool("no-eos") {
		eos = -1
	}
	if err := encodeDocuments(list, t, eos, l.config.SequenceLen); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	requests := make([]sched.Request, len(list))
	for i, d := range list {
		requests[i] = sched.Request{Prompt: d.ids, Policy: policy, EOS: -1, Mode: sched.Score}
	}
	l.limit(requests, true)
	session, err := p.start(c.Context, l)
	if err != nil {
		return err
	}
	defer closeInto(&err, session.Close)
	e := &evaluation{program: p, session: session, policy: policy, documents: list, requests: requests, scores: make([]score, len(list))}
	if err := e.run(c.Context, l.concurrency()); err != nil {
		return err
	}
	if err := e.print(c.Bool("json"), c.Bool("documents")); err != nil {
		return err
	}
	return e.err(c.Context)
}

// evaluation judges documents.
type evaluation struct {
	*program
	session   *session
	policy    router.Policy
	documents []document
	requests  []sched.Request // by document
	scores    []score
	took      time.Duration
}

// score is what a document has brought so far.
type score struct {
	sum    float64 // of -ln p
	tokens int     // judged
	done   bool
	err    error
}

// run judges all documents, several at a time.
func (e *evaluation) run(ctx context.Context, concurrency int) error {
	total := int64(0)
	for _, d := range e.documents {
		total += int64(max(len(d.ids)-1, 0))
	}
	report, end := e.progress("judging", inTokens)
	var mu sync.Mutex
	done := int64(0)
	count := func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done, total)
	}
	start := time.Now()
	err := inParallel(len(e.documents), concurrency, func(i int) { e.scores[i] = e.one(ctx, e.requests[i], count) })
	e.took = time.Since(start)
	end()
	return err
}

func (e *evaluation) one(ctx context.Context, r sched.Request, count func()) (s score) {
	if ctx.Err() != nil || len(r.Prompt) < 2 { // nothing to predict
		s.done = ctx.Err() == nil
		return s
	}
	stream, err := e.session.Submit(ctx, r)
	if err != nil {
		s.err = err
		return s
	}
	for event := range stream.Events() {
		if event.Done {
			s.err = event.Err
			s.done = event.Err == nil && s.tokens == len(r.Prompt)-1
			break
		}
		s.sum -= float64(event.LogProb)
		s.tokens++
		count()
	}
	return s
}

// err is the first thing that went wrong, in the order of the documents.
func (e *evaluation) err(ctx context.Context) error {
	for i, s := range e.scores {
		if s.err != nil && ctx.Err() == nil {
			return fmt.Errorf("document %d: %w", i, s.err)
		}
	}
	return context.Cause(ctx)
}
