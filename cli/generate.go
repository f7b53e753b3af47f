package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"troupe/actors"
	"troupe/fleet"
	"troupe/internal/tokenlog"
	"troupe/model"
	"troupe/stages/sched"
	"troupe/tokens"
)

// job is a request that is ready to run.
type job struct {
	number    int // of those of this run
	id        json.RawMessage
	request   sched.Request
	text      *string // the prompt's, if it is text
	stops     []string
	routing   bool  // events say which experts were used
	defaulted bool  // nobody said how many tokens to make
	bucket    int   // of --pad-sizes; 0: none
	err       error // it cannot be run

	past []tokenlog.Token // that an earlier run has made of it
}

// generator turns jobs into text. It may be shared by goroutines.
type generator struct {
	engine    *fleet.Fleet
	suspects  func(replica int) []actors.Suspect // may be nil
	tokenizer *tokens.Tokenizer                  // nil: ids alone
	config    model.Config
	padSizes  []int        // of --pad-sizes
	trace     *routingFile // may be nil
	swaps     *swapper     // is told of every token; may be nil
	scribe    *scribe      // of --token-log; may be nil
	witness   *witness     // of --chaos-check; may be nil
}

// prepare encodes a prompt and fills in what depends on its length.
func (g *generator) prepare(p prompt) job {
	j := job{id: p.id, text: p.text, stops: p.stops, routing: p.routing}
	j.err = g.fill(&j, p)
	return j
}

func (g *generator) fill(j *job, p prompt) error {
	ids, err := g.encode(p)
	if err != nil {
		return err
	}
	maxTokens := p.maxTokens
	if maxTokens == 0 {
		j.defaulted = true
		maxTokens = min(defaultTokens, g.config.SequenceLen-len(ids))
		if maxTokens == 0 {
			return fmt.Errorf("prompt: %d tokens fill the context of %d: shorten it", len(ids), g.config.SequenceLen)
		}
	}
	eos := int32(g.config.EOSToken)
	if p.ignoreEOS {
		eos = -1
	}
	if i, _ := slices.BinarySearch(g.padSizes, len(ids)); i < len(g.padSizes) {
		j.bucket = g.padSizes[i]
	}
	j.request = sched.Request{Prompt: ids, MaxTokens: max(maxTokens, 1), Params: p.params, Policy: p.policy, EOS: eos, Mode: sched.Generate,
		Trace: p.routing || g.trace != nil}
	return nil
}

// encode gives the ids of a prompt.
func (g *generator) encode(p prompt) ([]int32, error) {
	ids := p.ids
	if p.text != nil {
		switch bad := firstInvalid(*p.text); {
		case bad >= 0:
			return nil, fmt.Errorf("prompt: byte %d is not UTF-8: mend the text, or give its ids", bad)
		case g.tokenizer == nil:
			return nil, errors.New("prompt: text needs the tokenizer: leave --ids out, or give tokens")
		}
		ids = g.tokenizer.Encode(*p.text)
	}
	if len(ids) == 0 {
		return nil, errors.New("prompt: empty: want at least one token")
	}
	return ids, nil
}

// firstInvalid is the index of the first byte that is not UTF-8, or -1.
func firstInvalid(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}
