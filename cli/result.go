package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"troupe/stages/sched"
)

// piece is a new token with the text that has become certain.
type piece struct {
	ID         json.RawMessage `json:"id"`
	Index      int             `json:"index"` // 0: the first new token
	Token      int32           `json:"token"`
	LogProb    float32         `json:"logprob"`    // natural logarithm, after temperature and filters
	Generation uint64          `json:"generation"` // of the kernels that it was drawn with
	Text       string          `json:"text"`       // held back while it may be part of a character or a stop string
	// Routing is, if it was asked for, the experts of the row from whose logits the token was drawn.
	Routing pathLists `json:"routing,omitempty"`
}

// result is the last event of a request; its names are a promise.
type result struct {
	ID              json.RawMessage `json:"id"`
	PromptTokens    int             `json:"prompt_tokens"`
	Tokens          []int32         `json:"tokens"`
	Text            string          `json:"text"`
	Finish          string          `json:"finish"`          // length, stop, eos, cancelled, failed
	SecondsPrefill  float64         `json:"seconds_prefill"` // to the first token, waiting included
	SecondsDecode   float64         `json:"seconds_decode"`
	TokensPerSecond float64         `json:"tokens_per_second"` // of decoding; 0 when nothing was decoded
	PadBucket       int             `json:"pad_bucket,omitempty"`
	Error           string          `json:"error,omitempty"`
	PromptRouting   []pathLists     `json:"prompt_routing,omitempty"` // of each position of the prompt
	Routing         []pathLists     `json:"routing,omitempty"`        // of each new token, where no events have told of it
	Kernels         []doubt         `json:"kernels,omitempty"`        // that were found wrong, and for which tokens they were used
	err             error
	origin          origin
	line            json.RawMessage // as it is printed, of a result that an earlier run has made
	recalled        int             // tokens that an earlier run has made
	replica         int             // that computed it
}

// Finishes that the engine does not know.
const (
	finishStop      = "stop"
	finishCancelled = "cancelled"
	finishFailed    = "failed"
)

// failed is the result of a request that could not be run.
func (j job) failed(err error) result {
	return result{ID: j.id, PromptTokens: len(j.request.Prompt), Tokens: []int32{}, Finish: finishFailed, Error: err.Error(), err: err}
}

// finish notes how a request ended.
func (r *result) finish(e sched.Event, text *textStream) {
	if r.Finish == finishStop {
		return // cancelled by us
	}
	r.Finish = string(e.Finish)
	if e.Err != nil {
		r.Error, r.err = e.Err.Error(), e.Err
	}
}

// time fills the times in: from start to the first token that was made in this run, and from there to the last.
func (r *result) time(start, first, last time.Time, made int) {
	if made == 0 {
		return
	}
	r.SecondsPrefill = first.Sub(start).Seconds()
	r.SecondsDecode = last.Sub(first).Seconds()
	if n := made - 1; n > 0 && r.SecondsDecode > 0 {
		r.TokensPerSecond = float64(n) / r.SecondsDecode
	}
}

// write prints a result as a line.
func (r *result) write(w io.Writer) error {
	if r.line == nil {
		return writeJSON(w, r)
	}
	_, err := w.Write(append(r.line, '\n'))
	return err
}

// outcome turns a finish into the program's error.
func (r result) outcome() error {
	switch {
	case r.err != nil:
		return r.err
	case r.Finish == finishCancelled:
		return errInterrupted
	case r.Finish == finishFailed:
		return errors.New("the request failed")
	}
	return nil
}

// summary is the line on standard error behind a text.
func (p *program) summary(j job, r result) {
	line := fmt.Sprintf("%s in %.3g s (%s tokens/s), ", plural(r.PromptTokens, "prompt token"), r.SecondsPrefill, rate(float64(r.PromptTokens)/r.SecondsPrefill))
	line += fmt.Sprintf("%s in %.3g s", plural(len(r.Tokens), "token"), r.SecondsDecode)
	if r.TokensPerSecond > 0 {
		line += fmt.Sprintf(" (%s tokens/s)", rate(r.TokensPerSecond))
	}
	line += ", finish " + r.Finish
	if r.recalled > 0 {
		line += fmt.Sprintf(", %d of them from the log", r.recalled)
	}
	if j.defaulted && r.Finish == "length" {
		line += " (--max-tokens was not given)"
	}
	if d := j.request.Params; d.Temperature > 0 {
		line += fmt.Sprintf(", temperature %g, seed %d", d.Temperature, d.Seed)
	}
	line += fmt.Sprintf(", experts %v", j.request.Policy)
	if r.PadBucket > 0 {
		line += fmt.Sprintf(", bucket %d", r.PadBucket)
	}
	p.notice("%s", line)
}

// rate is tokens a second with the digits that matter.
func rate(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return "-"
	}
	return digits(f)
}
