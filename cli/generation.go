package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"troupe/router"
	"troupe/stages/sched"
)

// generation is a job on its way.
type generation struct {
	*generator
	job  job
	each func(piece) error
	text *textStream
	rows routingOf
	r    result
	err  error  // of each, or of the log: nothing more is handed out
	stop func() // the request

	told        int // tokens handed out
	made        int // of these, in this run
	first, last time.Time
	kept        keptResult
}

// run runs a job to its end and hands its tokens out as they come. Its error is one of each, or of the token log: the
// request is cancelled then; what goes wrong with the request is in the result.
func (g *generator) run(ctx context.Context, j job, each func(piece) error) (result, error) {
	if j.err != nil {
		return j.failed(j.err), nil
	}
	text, err := g.newText(j)
	if err != nil {
		return j.failed(err), nil
	}
	x := &generation{generator: g, job: j, each: each, text: text, rows: routingOf{shown: j.routing, file: g.trace},
		r: result{ID: j.id, PromptTokens: len(j.request.Prompt), Tokens: []int32{}, PadBucket: j.bucket}}
	if g.scribe.has(j) {
		return x.again()
	}
	ctx, x.stop = context.WithCancel(ctx)
	defer x.stop()
	start := time.Now()
	x.first, x.last = start, start
	stream, err := g.engine.Submit(ctx, j.request)
	if err != nil {
		if ctx.Err() != nil {
			x.r.Finish = finishCancelled
			return x.r, nil
		}
		return j.failed(err), nil
	}
	for e := range stream.Events() {
		if x.told < len(j.past) {
			e = x.recall(e)
		}
		x.take(e)
	}
	x.flush()
	x.r.time(start, x.first, x.last, x.made)
	x.rows.finish(j, &x.r)
	if g.suspects != nil {
		x.r.replica = stream.Replica()
		x.r.Kernels = x.r.origin.doubts(g.suspects(x.r.replica))
	}
	if x.err == nil {
		x.err = g.scribe.finish(j, x.r, x.kept)
	}
	g.witness.saw(j, x.r)
	return x.r, x.err
}

// take deals with an event of the engine.
func (x *generation) take(e sched.Event) {
	switch {
	case e.Done:
		if x.r.Finish == "" {
			x.rows.add(e.Routing, &x.r)
		}
		x.r.finish(e, x.text)
	case x.over(): // what was on its way
	default:
		x.last = time.Now()
		if x.made == 0 {
			x.first = x.last
		}
		x.made++
		x.r.origin.add(e)
		x.swaps.drawn()
		if x.err = x.check(e); x.err == nil {
			x.err = x.scribe.token(x.job, e)
		}
		if x.err != nil {
			x.stop()
			return
		}
		x.hand(e)
		if x.over() {
			x.stop()
		}
	}
}

// over tells whether nothing more is wanted of the engine.
func (x *generation) over() bool { return x.r.Finish != "" || x.err != nil }

// hand hands a token out.
func (x *generation) hand(e sched.Event) {
	x.r.Tokens = append(x.r.Tokens, e.Token)
	path := x.rows.add(e.Routing, &x.r)
	if path != nil {
		x.r.Routing = append(x.r.Routing, path)
	}
	x.kept.add(x.scribe, e)
	x.piece(e, path)
}

// piece hands a token out with its text.
func (x *generation) piece(e sched.Event, path pathLists) {
	x.told++
	part, hit, err := x.text.next(e.Token)
	x.r.Text += part
	if err == nil {
		err = x.each(piece{x.job.id, e.Index, e.Token, e.LogProb, e.Generation, part, path})
	}
	if x.err = err; hit {
		x.r.Finish = finishStop
	}
}

// flush hands out the text that was held back.
func (x *generation) flush() {
	if rest := x.text.flush(); rest != "" && x.err == nil {
		x.r.Text += rest
		x.err = x.each(piece{ID: x.job.id, Index: -1, Text: rest})
	}
}

// recall hands out the tokens of an earlier run, when this one's first event comes: that has the routing of all rows so
// far. It returns what is left of the event. The last of these tokens is drawn again, so that a model that
// is another one, or kernels that compute something else, are found out.
func (x *generation) recall(e sched.Event) sched.Event {
	past := x.job.past
	if !e.Done {
		past = past[:len(x.job.request.Made)]
	}
	rows := e.Routing
	for i, t := range past {
		if x.over() {
			break
		}
		n := 0
		for !e.Done && n < len(rows) && rows[n].Position < x.r.PromptTokens+i {
			n++
		}
		x.hand(sched.Event{Index: i, Token: t.ID, LogProb: t.LogProb, Generation: t.Generation, Routing: rows[:n:n]})
		x.r.recalled++
		rows = rows[n:]
	}
	if e.Done { // it was ended before it came so far: what is known of these rows is of no use
		rows = []router.RowRouting(nil)
	}
	e.Routing = rows
	if x.over() && x.stop != nil {
		x.stop()
	}
	return e
}

// check compares a token that is drawn again with the one that the log has.
func (x *generation) check(e sched.Event) error {
	if e.Index >= len(x.job.past) {
		return nil
	}
	want := x.job.past[e.Index]
	if e.Token != want.ID {
		return fmt.Errorf("%s: request %s: token %d is %d in the log and %d now: these kernels do not compute what those did that began it: take them (--kernels), or begin anew without --resume",
			x.scribe.log.Name(), x.job.id, e.Index, want.ID, e.Token)
	}
	if math.Float32bits(e.LogProb) != math.Float32bits(want.LogProb) {
		x.scribe.differs(x.job)
	}
	return nil
}

// again hands out what an earlier run has made of a job, to its end.
func (x *generation) again() (result, error) {
	k, r, err := x.scribe.result(x.job)
	if err != nil {
		return x.r, err
	}
	for i, t := range r.Tokens {
		if x.over() {
			break
		}
		e := sched.Event{Index: i, Token: t}
		var path pathLists
		if i < len(k.LogProbs) {
			e.LogProb, e.Generation = k.LogProbs[i], k.Generations[i]
		}
		if i < len(k.Routing) {
			path = k.Routing[i]
		}
		x.piece(e, path)
	}
	x.flush()
	r.line, r.recalled = k.Line, len(r.Tokens)
	return r, x.err
}
