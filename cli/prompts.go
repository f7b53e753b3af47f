package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"troupe/model"
	"troupe/stages/sample"
)

// maxPrompts bounds the requests of one file; all of them are checked before the first is run.
const maxPrompts = 1 << 20

// promptLine is a request of --prompts. What it leaves out, the flags say.
type promptLine struct {
	ID          json.RawMessage `json:"id"` // a string or a number, handed back as it is
	Prompt      *string         `json:"prompt"`
	Tokens      *[]int32        `json:"tokens"`
	MaxTokens   *int            `json:"max_tokens"`
	MaxLen      *int            `json:"max_len"` // alias
	Temperature *float64        `json:"temperature"`
	TopP        *float64        `json:"top_p"`
	NucleusP    *float64        `json:"nucleus_p"` // alias
	TopK        *int            `json:"top_k"`
	MinP        *float64        `json:"min_p"`
	Seed        *uint64         `json:"seed"`
	Stop        *stopList       `json:"stop"`
	IgnoreEOS   *bool           `json:"ignore_eos"`
	Sampler     *string         `json:"sampler"`
	Experts     *expertSpec     `json:"experts"`
	Routing     *bool           `json:"routing"`
}

// stopList is one stop string or a list of them.
type stopList []string

// UnmarshalJSON reads "a" or ["a", "b"].
func (s *stopList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = stopList{one}
		return nil
	}
	var many []string
	if json.Unmarshal(b, &many) != nil {
		return errors.New("stop: want a string or a list of strings")
	}
	*s = many
	return nil
}

// expertSpec is a specification of experts; a count may be a number.
type expertSpec string

// UnmarshalJSON reads "0-2:1" or 2.
func (e *expertSpec) UnmarshalJSON(b []byte) error {
	var text string
	var count int
	switch {
	case json.Unmarshal(b, &text) == nil:
		*e = expertSpec(text)
	case json.Unmarshal(b, &count) == nil:
		*e = expertSpec(fmt.Sprint(count))
	default:
		return errors.New(`experts: want a count or a string such as "0-2:1,3-5:4"`)
	}
	return nil
}

// prompt is one request before it is encoded.
type prompt struct {
	id   json.RawMessage
	text *string // else ids
	ids  []int32
	sampling
}

// readPrompts reads the requests of a JSONL file, or of standard input for "-".
func (p *program) readPrompts(ctx context.Context, file string, defaults sampling, config model.Config) ([]prompt, error) {
	in := p.in
	if file != "-" {
		f, err := await(ctx, func() (*os.File, error) { return os.Open(file) })
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	list, err := await(ctx, func() ([]prompt, error) { return parsePrompts(p.scribe.copying(in), defaults, config) })
	if err != nil {
		if file == "-" {
			file = "standard input"
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

func parsePrompts(r io.Reader, defaults sampling, config model.Config) ([]prompt, error) {
	var list []prompt
	for line, err := range jsonLines(r) {
		if err != nil {
			return nil, err
		}
		var l promptLine
		if err := line.decode(&l); err != nil {
			return nil, err
		}
		one, err := l.resolve(len(list), defaults, config)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line.number, err)
		}
		if list = append(list, one); len(list) > maxPrompts {
			return nil, fmt.Errorf("more than %d requests: cut the file", maxPrompts)
		}
	}
	if len(list) == 0 {
		return nil, errors.New(`no requests: want lines such as {"id": 1, "prompt": "Tale:"}`)
	}
	return list, nil
}

// resolve fills a request with the defaults; index is its id when it has none.
func (l *promptLine) resolve(index int, s sampling, config model.Config) (prompt, error) {
	out := prompt{id: slices.Clone(l.ID), text: l.Prompt, sampling: s}
	if len(out.id) == 0 || string(out.id) == "null" {
		out.id = json.RawMessage(fmt.Sprint(index))
	}
	if c := out.id[0]; c == '{' || c == '[' || c == 't' || c == 'f' {
		return out, fmt.Errorf("id: %s, want a string or a number", out.id)
	}
	switch {
	case (l.Prompt == nil) == (l.Tokens == nil):
		return out, errors.New("want prompt or tokens, and not both")
	case l.MaxTokens != nil && l.MaxLen != nil:
		return out, errors.New("max_tokens and max_len are the same: give one of them")
	case l.TopP != nil && l.NucleusP != nil:
		return out, errors.New("top_p and nucleus_p are the same: give one of them")
	case l.Tokens != nil:
		out.ids = *l.Tokens
	}
	set(&out.maxTokens, l.MaxTokens)
	set(&out.maxTokens, l.MaxLen)
	if (l.MaxTokens != nil || l.MaxLen != nil) && out.maxTokens < 1 {
		return out, fmt.Errorf("max_tokens: %d, want 1 or more", out.maxTokens)
	}
	set(&out.params.Temperature, l.Temperature)
	set(&out.params.TopP, l.TopP)
	set(&out.params.TopP, l.NucleusP)
	set(&out.params.TopK, l.TopK)
	set(&out.params.MinP, l.MinP)
	set(&out.params.Seed, l.Seed)
	set(&out.ignoreEOS, l.IgnoreEOS)
	set(&out.routing, l.Routing)
	set((*stopList)(&out.stops), l.Stop)
	var err error
	if l.Sampler != nil {
		if out.params.Sampler, err = sample.ParseSampler(*l.Sampler); err != nil {
			return out, err
		}
	}
	if l.Experts != nil {
		if out.policy, err = parsePolicy(string(*l.Experts), config); err != nil {
			return out, err
		}
	}
	if err := out.params.Validate(); err != nil {
		return out, err
	}
	_, err = sample.NewStop(out.stops)
	return out, err
}

// set writes a value that was given.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
