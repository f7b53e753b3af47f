package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"troupe/stages/sched"
)

// runMany runs the requests of a file together. Without events a result waits for those before it, so that
// the lines stand in the order of the requests.
func (p *program) runMany(ctx context.Context, g *generator, jobs []job, concurrency int, events bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &many{program: p, events: events, results: make([]*result, len(jobs)), stop: cancel}
	start := time.Now()
	err := inParallel(len(jobs), concurrency, func(i int) {
		m.finish(i, jobs[i], m.one(ctx, g, jobs[i]))
	})
	m.summary(time.Since(start))
	if g.suspects != nil {
		m.tellLate(g.suspects)
	}
	if err != nil {
		return err
	}
	return m.outcome()
}

// many collects what the requests of a file bring.
type many struct {
	*program
	events bool
	stop   context.CancelCauseFunc

	mu        sync.Mutex
	results   []*result
	printed   int   // results written
	writeErr  error // of standard output
	failures  int
	defaulted int // ended at a length that nobody gave
	cancels   int
	tokens    int    // made in this run
	recalled  int    // and in an earlier one
	origins   []told // of requests with tokens
}

func (m *many) one(ctx context.Context, g *generator, j job) result {
	if ctx.Err() != nil {
		return result{ID: j.id, PromptTokens: len(j.request.Prompt), Tokens: []int32{}, Finish: finishCancelled}
	}
	r, err := g.run(ctx, j, func(e piece) error { // write errors are kept in m
		if m.events {
			m.write(func() error { return m.showEvent(e) })
		}
		return nil
	})
	if err != nil { // of the token log
		m.write(func() error { return err })
	}
	return r
}

// finish takes a result and writes what is due.
func (m *many) finish(i int, j job, r result) {
	m.mu.Lock()
	m.results[i] = &r
	m.tokens += len(r.Tokens) - r.recalled
	m.recalled += r.recalled
	if len(r.Tokens) > 0 {
		m.origins = append(m.origins, told{string(r.ID), r.origin, len(r.Kernels), r.replica})
	}
	switch r.Finish {
	case string(sched.Length):
		if j.defaulted {
			m.defaulted++
		}
	case finishFailed:
		m.failures++
	case finishCancelled:
		m.cancels++
	}
	m.mu.Unlock()
	m.tellDoubts(string(r.ID), r)
	m.write(func() error {
		if m.events {
			r.Routing = nil // the events have it
			return r.write(m.out)
		}
		for m.printed < len(m.results) && m.results[m.printed] != nil {
			if err := m.results[m.printed].write(m.out); err != nil {
				return err
			}
			m.results[m.printed] = &result{} // printed: its memory can go
			m.printed++
		}
		return nil
	})
}

// write runs one writer at a time; the first error ends all requests.
func (m *many) write(do func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writeErr != nil {
		return
	}
	if m.writeErr = do(); m.writeErr != nil {
		m.stop(m.writeErr)
	}
}

func (m *many) summary(took time.Duration) {
	m.notice("%d requests, %d failed, %d cancelled, %d tokens in %s (%s tokens/s)", len(m.results), m.failures, m.cancels,
		m.tokens, seconds(took), rate(float64(m.tokens)/took.Seconds()))
	if m.recalled > 0 {
		m.notice("and %s from the log", plural(m.recalled, "token"))
	}
	if m.defaulted > 0 {
		m.notice("%d ended after the default of %d tokens, or with the context: max_tokens was not given", m.defaulted, defaultTokens)
	}
}

func (m *many) outcome() error {
	switch {
	case m.writeErr != nil:
		return m.writeErr
	case m.failures > 0:
		return fmt.Errorf("%d of %d requests failed: see their error fields", m.failures, len(m.results))
	case m.cancels > 0:
		return errInterrupted
	}
	return nil
}
