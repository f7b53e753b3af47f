package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/model"
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

func (p *program) logits(c *cli.Context) (err error) {
	dir, err := modelDir(c.String("model"))
	if err != nil {
		return err
	}
	config, err := dir.config()
	if err != nil {
		return err
	}
	policy, err := readExperts(c, config)
	if err != nil {
		return err
	}
	o, err := readEngine(c, config)
	if err != nil {
		return err
	}
	out := c.String("out")
	if out == "" {
		return usagef("--out: no file: say where to write")
	}
	ids, err := p.promptIDs(c, dir, config)
	if err != nil {
		return err
	}
	length := max(len(ids), bucketOf(config.PadSizes, len(ids)))
	limits := o.limits(config, 1, length, true)
	request := sched.Request{Prompt: ids, Policy: policy, EOS: -1, Mode: sched.Logits}
	if err := checkRequest(limits, request); err != nil {
		return err
	}
	session, err := p.startEngine(c.Context, dir, config, o, limits)
	if err != nil {
		return err
	}
	defer closeInto(&err, session.Close)
	start := time.Now()
	err = writeFile(out, func(f *os.File) error {
		return session.writeLogits(c.Context, f, request)
	})
	if err == nil {
		p.notice("%s: float32 [%d, %d], %d tokens in %s", out, len(ids), config.VocabSize, len(ids), seconds(time.Since(start)))
	}
	return err
}

// promptIDs is the prompt of --tokens, or the argument or standard input encoded.
func (p *program) promptIDs(c *cli.Context, dir directory, config model.Config) ([]int32, error) {
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
	text, err := p.argumentOrInput(c, "PROMPT")
	if err != nil {
		return nil, err
	}
	t, err := fittingTokenizer(dir, config)
	if err != nil {
		return nil, err
	}
	g := generator{tokenizer: t, config: config}
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
	w := bufio.NewWriterSize(f, 1<<20)
	vocab := s.model.Config.VocabSize
	if _, err := io.WriteString(w, npyHeader(len(r.Prompt), vocab)); err != nil {
		return err
	}
	row := make([]byte, 0, 4*vocab)
	next := 0
	for e := range stream.Events() {
		switch {
		case e.Done && e.Err != nil:
			return e.Err
		case e.Done && next < len(r.Prompt):
			return fmt.Errorf("position %d of %d: %w", next, len(r.Prompt), context.Cause(ctx))
		case e.Done:
			return w.Flush()
		case e.Index != next || len(e.Logits) != vocab:
			return fmt.Errorf("BUG: logits of position %d, %d of them, want position %d, %d", e.Index, len(e.Logits), next, vocab)
		}
		row = row[:0]
		for _, v := range e.Logits {
			row = binary.LittleEndian.AppendUint32(row, math.Float32bits(v))
		}
		if _, err := w.Write(row); err != nil {
			return err
		}
		next++
	}
	return errors.New("BUG: events without an end")
}

// npyHeader begins a NumPy file of float32 [rows, columns], format version 1.0: rows can follow one by one.
func npyHeader(rows, columns int) string {
	const align, fixed = 64, 10
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
	size := (fixed+len(text)+1+align-1)/align*align - fixed
	return "\x93NUMPY\x01\x00" + string([]byte{byte(size), byte(size >> 8)}) + fmt.Sprintf("%-*s\n", size-1, text)
}
