package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"troupe/lab"
)

// samples are the documents of an experiment: some to learn from, the others to judge by.
type samples struct {
	calibration, heldOut []lab.Document
}

func sampleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "text", Usage: "`FILE` to learn from, .txt or .jsonl", DefaultText: "for the embedded demo its held-out text", TakesFile: true},
		&cli.StringFlag{Name: "held-out", Usage: "`FILE` to judge by", DefaultText: "every other document of --text", TakesFile: true},
		&cli.IntFlag{Name: "limit-tokens", Usage: "only the first documents of each domain, about so many tokens of either", DefaultText: "all"},
	}
}

// readSamples reads --text and --held-out. Without the second, every other document of a domain is held out.
func readSamples(c *cli.Context, l launch) (t samples, err error) {
	if t.calibration, err = l.readText(c.Context, c.String("text")); err != nil {
		return t, err
	}
	if file := c.String("held-out"); file != "" {
		if t.heldOut, err = l.readText(c.Context, file); err != nil {
			return t, err
		}
	} else if t.calibration, t.heldOut = halves(t.calibration); len(t.heldOut) == 0 {
		return t, usagef("--text: a single document of each domain: want two or more, every other one to judge by, or --held-out FILE")
	}
	if c.IsSet("limit-tokens") {
		most, err := intWithin(c, "limit-tokens", 1<<40)
		if err != nil {
			return t, err
		}
		t.calibration, t.heldOut = firstOfEach(t.calibration, most), firstOfEach(t.heldOut, most)
	}
	return t, nil
}

// readText reads and encodes the documents of a file, each ended with EOS; "" is what ships with the embedded demo.
func (l launch) readText(ctx context.Context, file string) (_ []lab.Document, err error) {
	var list []document
	if file == "" {
		file = heldOut
		list, err = l.defaultDocuments()
	} else {
		list, err = readDocuments(ctx, file)
	}
	if err != nil {
		return nil, err
	}
	return l.labDocuments(file, list, int32(l.config.EOSToken))
}

// labDocuments encodes documents of a file, each ended with EOS; below 0: none. One that is too long is told of by name.
func (l launch) labDocuments(file string, list []document, eos int32) ([]lab.Document, error) {
	t, err := fittingTokenizer(l.dir, l.config)
	if err != nil {
		return nil, err
	}
	if err := encodeDocuments(list, t, eos, l.config.SequenceLen); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	documents := make([]lab.Document, len(list))
	for i, d := range list {
		name := filepath.Base(file)
		if d.line > 0 {
			name += fmt.Sprint(" line ", d.line)
		}
		documents[i] = lab.Document{Name: name, Domain: d.domain, IDs: d.ids}
	}
	return documents, nil
}

// halves puts every other document of each domain in the second half.
func halves(list []lab.Document) (first, second []lab.Document) {
	seen := map[string]int{}
	for _, d := range list {
		if seen[d.Domain]++; seen[d.Domain]%2 == 1 {
			first = append(first, d)
		} else {
			second = append(second, d)
		}
	}
	return first, second
}

func tokensOf(list []lab.Document) (n int) {
	for _, d := range list {
		n += d.Judged()
	}
	return n
}
