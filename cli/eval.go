package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/fleet"
	"troupe/lab/trace"
	"troupe/router"
	"troupe/stages/sched"
)

func (p *program) evalCommand() *cli.Command {
	return &cli.Command{
		Name: "eval", Usage: "perplexity of a model on a text",
		Description: `A .txt file is one document, a .jsonl file one a line ("text", and "domain" if
wanted). A document is encoded, ended with EOS, and judged on its own: the loss
is the mean of -ln p over all its ids but the first, in nats.

--routing-trace writes a file with the experts of every token and their gates,
document by document, with domains.

--against runs every document in a second arithmetic, with the same weights, and
adds its perplexity, the Kullback-Leibler divergence of --arith from it by
position, in nats, and how often both have the same likeliest token. Documents
then run one at a time, with the logits of one in memory.

troupe eval --text book.txt
troupe eval --text heldout.jsonl --experts 1 --json
troupe eval --text heldout.jsonl --arith int8 --against exact`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "text", Usage: "`FILE` to judge, .txt or .jsonl", DefaultText: "for the embedded demo its held-out text", TakesFile: true},
			&cli.StringFlag{Name: "against", Usage: "`NAME` arithmetic to compare with: exact, int8 or reference", DefaultText: "none"},
			&cli.BoolFlag{Name: "no-eos", Usage: "do not end documents with EOS"},
			routingTraceFlag(""),
			&cli.BoolFlag{Name: "documents", Usage: "list every document in the table; --json always does"},
			jsonFlag("print one JSON object instead of a table"),
			expertsFlag(""),
		}, append(engineFlags(), replicasFlag(engineCategory))...),
		Action: p.eval,
	}
}

func (p *program) eval(c *cli.Context) (err error) {
	l, err := p.readLaunch(c)
	if err != nil {
		return err
	}
	policy, err := readExperts(c, l.config)
	if err != nil {
		return err
	}
	file, list := c.String("text"), []document(nil)
	if file == "" {
		file = heldOut
		list, err = l.defaultDocuments()
	} else {
		list, err = readDocuments(c.Context, file)
	}
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
	other, err := readAgainst(c)
	if err != nil {
		return err
	}
	e := &evaluation{program: p, launch: l, policy: policy, documents: list, against: other, scores: make([]score, len(list))}
	e.makeRequests()
	concurrency := 1 // with two engines: they take turns, so that each has the processors to itself
	switch {
	case other == nil:
		concurrency = l.replicas() * 2 * min(l.limits.Sequences, len(list)) // as many wait as run
	case l.replicas() > 1:
		return usagef("--against and %d replicas: documents run one at a time then: want one replica", l.replicas())
	default:
		e.launch.limits.Sequences = 1
	}
	e.launch.limit(e.requests, true)
	if e.routing, err = newRoutingFile(c.String("routing-trace"), l, policy); err != nil {
		return err
	}
	defer closeInto(&err, e.routing.Close)
	if e.session, err = p.start(c.Context, e.launch); err != nil {
		return err
	}
	defer closeInto(&err, e.session.Close)
	if other != nil {
		if err := e.startOther(c.Context); err != nil {
			return err
		}
		defer closeInto(&err, e.stopOther)
	}
	if err := e.run(c.Context, concurrency); err != nil {
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
	launch    launch
	session   *session
	policy    router.Policy
	documents []document
	requests  []sched.Request // by document
	scores    []score
	against   *contrast    // nil: none
	routing   *routingFile // nil: none
	took      time.Duration
}

// score is what a document has brought so far.
type score struct {
	sum      float64 // of -ln p
	tokens   int     // judged
	contrast contrastSum
	done     bool
	err      error
}

// makeRequests turns documents into requests: losses alone are drawn where they are computed; to compare two
// engines takes the logits. The last id predicts nothing.
func (e *evaluation) makeRequests() {
	e.requests = make([]sched.Request, len(e.documents))
	for i, d := range e.documents {
		r := sched.Request{Prompt: d.ids, Policy: e.policy, EOS: -1, Mode: sched.Score}
		if e.against != nil {
			r.Prompt, r.Mode = d.ids[:max(len(d.ids)-1, 0)], sched.Logits
		}
		e.requests[i] = r
	}
}

// run judges all documents, several at a time.
func (e *evaluation) run(ctx context.Context, concurrency int) error {
	total := int64(0)
	for _, d := range e.documents {
		total += int64(max(len(d.ids)-1, 0))
	}
	if e.against != nil {
		total *= 2
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
	err := inParallel(len(e.documents), concurrency, func(i int) { e.scores[i] = e.one(ctx, i, count) })
	e.took = time.Since(start)
	end()
	return err
}

// one judges a document.
func (e *evaluation) one(ctx context.Context, i int, count func()) (s score) {
	ids := e.documents[i].ids
	switch {
	case ctx.Err() != nil:
	case len(ids) < 2: // nothing to predict
		s.done = true
	case e.against != nil:
		s.err = e.compare(ctx, i, &s, count)
	default:
		s.err = e.judge(ctx, i, func(event sched.Event) error {
			s.sum -= float64(event.LogProb)
			s.tokens++
			count()
			return nil
		})
	}
	s.done = s.done || s.err == nil && s.tokens > 0 && s.tokens == len(ids)-1
	return s
}

// judge runs the request of a document, and writes its routing, if that is wanted, when it is whole.
func (e *evaluation) judge(ctx context.Context, i int, take func(sched.Event) error) error {
	r, doc := e.requests[i], e.documents[i]
	if e.routing == nil {
		return e.events(ctx, e.session.fleet, r, take)
	}
	r.Trace = true
	var rows []router.RowRouting
	err := e.events(ctx, e.session.fleet, r, func(event sched.Event) error {
		rows = append(rows, event.Routing...)
		return take(event)
	})
	if err == nil && len(rows) == len(doc.ids)-1 { // else it was cancelled
		e.routing.add(&trace.Doc{ID: strconv.Itoa(i), Domain: doc.domain, Experts: e.policy.String(), Text: doc.text, Prompt: len(doc.ids), Tokens: doc.ids, Rows: rows})
	}
	return err
}

// events runs a request and hands its events to take, all but the last. What take finds wrong ends the request.
func (e *evaluation) events(ctx context.Context, engine *fleet.Fleet, r sched.Request, take func(sched.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := engine.Submit(ctx, r)
	if err != nil {
		return err
	}
	for event := range stream.Events() {
		if event.Done {
			return event.Err
		}
		if err := take(event); err != nil {
			return err
		}
	}
	return errors.New("BUG: events without an end")
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
