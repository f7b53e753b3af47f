package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"troupe/lab/trace"
)

// traceSource is where the texts of experts trace come from.
func (p *program) traceSource(c *cli.Context) (source, error) {
	given := c.NArg()
	for _, flag := range []string{"in", "text", "prompts"} {
		if c.IsSet(flag) {
			given++
		}
	}
	switch {
	case given > 1:
		return source{}, usagef("PROMPT, --text, --prompts and --in: give one of them")
	case c.IsSet("in"):
		return p.fileSource(c.String("in"), c)
	}
	r, err := p.newRecording(c)
	if err != nil {
		return source{}, err
	}
	switch {
	case c.IsSet("text"):
		if c.IsSet("max-tokens") {
			return source{}, usagef("--text and --max-tokens: texts of a file are read as they are; to go on from prompts, give them by --prompts")
		}
		err = r.judgeFile(c)
	case c.IsSet("prompts"):
		err = r.requests(c)
	default:
		err = r.argument(c)
	}
	if err != nil {
		return source{}, err
	}
	return r.source(c), nil
}

func (r *recording) source(c *cli.Context) source {
	return source{header: r.header, spell: &speller{tokenizer: r.tokenizer},
		each: func(take func(*trace.Doc) error) error { return r.run(c.Context, take) }}
}

// judgeFile adds the texts of --text, or those that come with the embedded demo.
func (r *recording) judgeFile(c *cli.Context) error {
	file, list := c.String("text"), []document(nil)
	var err error
	if file == "" {
		file = heldOut
		if list, err = r.launch.defaultDocuments(); err == nil {
			r.notice("no FILE and no --text: %s is counted", heldOut)
		}
	} else {
		list, err = readDocuments(c.Context, file)
	}
	if err != nil {
		return err
	}
	if err := r.judge(c, list); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// requests adds those of --prompts; one that cannot be run is an error, before anything is.
func (r *recording) requests(c *cli.Context) error {
	s, err := readSampling(c, r.launch.config)
	if err != nil {
		return err
	}
	list, err := r.readPrompts(c.Context, c.String("prompts"), s, r.launch.config)
	if err != nil {
		return err
	}
	for _, one := range list {
		if err := r.continued(one); err != nil {
			return err
		}
	}
	return nil
}

// argument adds the one text of the command line, or of standard input.
func (r *recording) argument(c *cli.Context) error {
	text, err := r.promptText(c)
	if err != nil {
		return err
	}
	if !c.IsSet("max-tokens") {
		return r.judge(c, []document{{text: text}})
	}
	s, err := readSampling(c, r.launch.config)
	if err != nil {
		return err
	}
	return r.continued(prompt{id: []byte("0"), text: &text, sampling: s})
}

// fileSource reads documents from a file. Their texts are spelled by the tokenizer of --model.
func (p *program) fileSource(name string, c *cli.Context) (s source, err error) {
	in, err := await(c.Context, func() (*trace.Reader, error) { return trace.Open(name) })
	if err != nil {
		return s, err
	}
	s.header = in.Header
	if s.spell, err = p.newSpeller(c, s.header); err != nil {
		return s, errors.Join(err, in.Close())
	}
	s.each = func(take func(*trace.Doc) error) (err error) {
		defer closeInto(&err, in.Close)
		for {
			d, end := in.Next()
			if d != nil {
				if err := take(d); err != nil {
					return err
				}
			}
			if end == io.EOF {
				return nil
			}
			if end != nil {
				return end
			}
			if err := c.Context.Err(); err != nil {
				return err
			}
		}
	}
	return s, nil
}
