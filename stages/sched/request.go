package sched

import (
	"fmt"

	"troupe/router"
	"troupe/stages/sample"
)

// Mode says what a request wants.
type Mode uint8

const (
	Generate Mode = iota // new tokens
	Score                // the log probability of every prompt token but the first
	Logits               // the logits of every prompt position
)

// Request is what a client asks for.
type Request struct {
	Prompt []int32
	// Made are new tokens that the request already has, fewer than MaxTokens; nil: none. Their rows are computed like
	// those of a prompt, and no event tells of them: the first is that of the token behind them, which is what it would
	// be had they been drawn here (N3, N4). Generate alone.
	Made      []int32
	MaxTokens int // new tokens, those of Made among them: exactly as many, unless EOS comes; 0 for Score and Logits
	Params    sample.Params
	Policy    router.Policy // made for the model of this scheduler
	EOS       int32         // ends a generation and is not part of it; -1: none
	Mode      Mode
	Trace     bool // events say which experts the rows used
}

// ID names a request; no two requests of a scheduler have the same.
type ID uint64

// Finish says why a request is over.
type Finish string

// A client that watches the text may find other reasons of its own.
const (
	Length    Finish = "length" // all that was asked for
	EOS       Finish = "eos"
	Cancelled Finish = "cancelled"
	Failed    Finish = "failed"
)

// Event is news of a request. The events of a request come in order of Index as long as batches come
// back in the order in which they were made.
type Event struct {
	ID      ID
	Index   int       // Generate: of the new token, from 0, or behind Made; Score, Logits: position in the prompt; Done: number of events before
	Token   int32     // Generate: the new token; Score, Logits: the prompt's at that position
	LogProb float32   // Generate, Score: natural logarithm
	Logits  []float32 // Logits: [V], of the token that follows this position
	// Routing, of a request with Trace, is that of the rows computed since the event before, by position; it is the
	// receiver's. Its last row is the one that the event was drawn from. Generate: the first event has all rows of the
	// prompt and of Made. Done: rows from which nothing was told. Rows that fill a bucket behind the prompt are left out.
	Routing []router.RowRouting
	// Generation is that of the batch that drew the token, Since that of the first batch with rows of the
	// request: what it rests on was computed from the one to the other. Done: of the last such batch; 0, 0: none.
	Generation, Since uint64
	Done              bool   // the last event; Token, LogProb and Logits are not valid
	Finish            Finish // Done: why
	Err               error  // Done: what failed
}

// Check reports why a request can never be served; nil means that it can, now or later.
func (s *Scheduler) Check(r Request) error {
	if err := s.checkPrompt(r); err != nil {
		return err
	}
	if err := s.checkMode(r); err != nil {
		return err
	}
	m := &s.c.Model.Model
	if err := r.Policy.Fits(router.Sizes{Layers: m.NumLayers, Experts: m.NumExperts, Selected: m.NumSelectedExperts}); err != nil {
		return fmt.Errorf("sched: %w", err)
	}
	return s.checkSize(r)
}

func (s *Scheduler) checkPrompt(r Request) error {
	m, n := &s.c.Model, len(r.Prompt)
	switch {
	case n == 0:
		return fmt.Errorf("sched: the prompt has no tokens, want at least 1")
	case n > m.SequenceLen:
		return fmt.Errorf("sched: the prompt has %d tokens, want at most %d (sequence_len): shorten it", n, m.SequenceLen)
	}
	if sizes := s.c.PadSizes; len(sizes) > 0 && n > sizes[len(sizes)-1] {
		return fmt.Errorf("sched: the prompt has %d tokens, want at most %d, the largest of the pad sizes: shorten it, or give a larger size", n, sizes[len(sizes)-1])
	}
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= m.VocabSize {
			return fmt.Errorf("sched: token %d of the prompt is %d, want 0 to %d: use the tokenizer that belongs to the model", i, t, m.VocabSize-1)
		}
	}
	return nil
}

// checkMade looks at the new tokens that a request comes with.
func (s *Scheduler) checkMade(r Request) error {
	if n := len(r.Made); n > 0 && n >= r.MaxTokens {
		return fmt.Errorf("sched: the request has %d new tokens already, want fewer than the %d that it is about: it is over", n, r.MaxTokens)
	}
	for i, t := range r.Made {
		if t < 0 || int(t) >= s.c.Model.VocabSize {
			return fmt.Errorf("sched: new token %d is %d, want 0 to %d: use the tokens that this model has made", i, t, s.c.Model.VocabSize-1)
		}
		if t == r.EOS {
			return fmt.Errorf("sched: new token %d is %d, which ends the request: it is over", i, t)
		}
	}
	return nil
}

func (s *Scheduler) checkMode(r Request) error {
	m, n := &s.c.Model, len(r.Prompt)
	switch r.Mode {
	case Score, Logits:
		if r.MaxTokens != 0 {
			return fmt.Errorf("sched: %d new tokens, want 0: the request is about its prompt alone", r.MaxTokens)
		}
		if len(r.Made) > 0 {
			return fmt.Errorf("sched: the request has %d new tokens already, want 0: it is about its prompt alone", len(r.Made))
		}
		return nil
	case Generate:
	default:
		return fmt.Errorf("sched: mode %d, want Generate, Score or Logits", r.Mode)
	}
	switch room := m.SequenceLen - n; {
	case r.MaxTokens < 1:
		return fmt.Errorf("sched: %d new tokens, want at least 1", r.MaxTokens)
	case room == 0:
		return fmt.Errorf("sched: the prompt has %d tokens, as many as sequence_len: shorten it to leave room for new ones", n)
	case r.MaxTokens > room:
		return fmt.Errorf("sched: the prompt has %d tokens and %d new ones are wanted, together at most %d (sequence_len): want at most %d new ones, or shorten the prompt",
			n, r.MaxTokens, m.SequenceLen, room)
	case r.EOS < -1 || int(r.EOS) >= m.VocabSize:
		return fmt.Errorf("sched: EOS token %d, want 0 to %d, or -1 for none", r.EOS, m.VocabSize-1)
	}
	if err := s.checkMade(r); err != nil {
		return err
	}
	return r.Params.Validate()
}

// checkSize compares what the request needs with what there is when nothing else runs.
func (s *Scheduler) checkSize(r Request) error {
	p := s.c.layoutOf(r)
	if p.whole && p.rows > s.c.Rows {
		return fmt.Errorf("sched: the prompt begins with %d pad tokens (id %d), so its bucket of %d rows runs in one batch, which has at most %d: leave the pads out, or allow %d rows (--prefill-chunk)",
			p.first, s.c.Model.PadToken, p.rows, s.c.Rows, p.rows)
	}
	if p.whole && p.draws > s.c.Draws {
		return fmt.Errorf("sched: the prompt begins with %d pad tokens (id %d), so its %d results come out of one batch, which has at most %d: leave the pads out, or shorten it",
			p.first, s.c.Model.PadToken, p.draws, s.c.Draws)
	}
	if n := s.pool.BlocksFor(p.positions); n > s.c.Blocks {
		return fmt.Errorf("sched: the request needs %d cache blocks for %d positions, want at most %d: ask for fewer tokens, or for a larger cache", n, p.positions, s.c.Blocks)
	}
	return nil
}
