package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/internal/npy"
	"troupe/stages/sched"
)

func (p *program) logitsCommand() *cli.Command {
	return &cli.Command{
		Name: "logits", Usage: "write the logits of every position of a prompt", ArgsUsage: "[PROMPT]",
		Description: `Writes a NumPy file, float32 [tokens, vocab]: row i holds the logits of the
token behind token i. The file is whole or not there.

troupe logits --tokens 571,1996,361 --arith exact --out logits.npy`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "tokens", Usage: "`IDS` of the prompt, 5,17,3; no tokenizer is needed then"},
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write, .npy", DefaultText: "required", TakesFile: true},
			expertsFlag(""),
		}, append(engineFlags(), padSizesFlag())...),
		Action: p.logits,
	}
}

func (p *program) logits(c *cli.Context) error {
	l, err := p.readLaunch(c)
	if err != nil {
		return err
	}
	policy, err := readExperts(c, l.config)
	if err != nil {
		return err
	}
	out := c.String("out")
	if out == "" {
		return usagef("--out: no file: say where to write")
	}
	ids, err := p.promptIDs(c, l)
	if err != nil {
		return err
	}
	request := sched.Request{Prompt: ids, Policy: policy, EOS: -1, Mode: sched.Logits}
	l.limit([]sched.Request{request}, true)
	if err := l.check(request); err != nil {
		return err
	}
	file, err := createFile(out)
	if err != nil {
		return err
	}
	start := time.Now()
	err = file.finish(p.fillLogits(c.Context, file, l, request))
	if err == nil {
		p.notice("%s: float32 [%d, %d], %d tokens in %s", out, len(ids), l.config.VocabSize, len(ids), seconds(time.Since(start)))
	}
	return err
}

// fillLogits runs the request on an engine of its own.
func (p *program) fillLogits(ctx context.Context, w io.Writer, l launch, r sched.Request) (err error) {
	session, err := p.start(ctx, l)
	if err != nil {
		return err
	}
	defer closeInto(&err, session.Close)
	return session.writeLogits(ctx, w, r)
}

// promptIDs is the prompt of --tokens, or the argument or standard input encoded.
func (p *program) promptIDs(c *cli.Context, l launch) ([]int32, error) {
	if c.IsSet("tokens") {
		if c.NArg() > 0 {
			return nil, usagef("PROMPT and --tokens: give one of them")
		}
		ids, err := parseIDs(c.String("tokens"))
		if err != nil {
			return nil, badFlag("tokens", err)
		}
		return ids, nil
	}
	text, err := p.promptText(c)
	if err != nil {
		return nil, err
	}
	t, err := fittingTokenizer(l.dir, l.config)
	if err != nil {
		return nil, err
	}
	g := generator{tokenizer: t, config: l.config}
	return g.encode(prompt{text: &text})
}

// writeLogits runs the request and writes each row as it comes.
func (s *session) writeLogits(ctx context.Context, f io.Writer, r sched.Request) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.Submit(ctx, r)
	if err != nil {
		return err
	}
	vocab := s.model.Config.VocabSize
	out := bufio.NewWriterSize(f, 1<<20)
	w, err := npy.NewWriter(out, len(r.Prompt), vocab)
	if err != nil {
		return err
	}
	next := 0
	for e := range stream.Events() {
		switch {
		case e.Done && e.Err != nil:
			return e.Err
		case e.Done && e.Finish == sched.Cancelled:
			return errInterrupted
		case e.Done:
			return errors.Join(w.Close(), out.Flush())
		case e.Index != next || len(e.Logits) != vocab:
			return fmt.Errorf("BUG: logits of position %d, %d of them, want position %d, %d", e.Index, len(e.Logits), next, vocab)
		}
		if err := w.Write(e.Logits); err != nil {
			return err
		}
		next++
	}
	return errors.New("BUG: events without an end")
}
